#include "trainer/run/model_state.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/dry.h"
#include "memory/tracked_tensor.h"
#include "sharding/agreement.h"
#include "trainer/checkpoint/open_run.h"
#include "trainer/config/load.h"
#include "trainer/executor/exceptions.h"
#include "trainer/model/precision.h"
#include "trainer/model/recompute.h"
#include "trainer/model/sharding.h"
#include "trainer/run/hf_start.h"
#include "trainer/run/module_buffers.h"

namespace stowage {
namespace {

// Instead of a step, in what rank 0 tells the others of a model to load.
constexpr char kFromFolder[] = "from-folder";

std::string OptimizerTensorName(absl::string_view state, absl::string_view parameter) {
  return absl::StrCat("optimizer.", state, ".", parameter);
}

// An error about `key`, with the place that the key was written at.
absl::Status AtItsPlace(const Config& config, const std::string& key, const absl::Status& status) {
  const auto place = config.places.find(key);
  return place == config.places.end() ? status : Annotate(status, place->second);
}

// For evaluating and sampling, which hold parameters only: whole on every rank.
Config Unsharded(Config config) {
  config.sharding.zero = 0;
  return config;
}

CheckpointReader::Tensor Described(const ParameterSpec& p) { return {DType::kFloat32, p.shape, p.numel()}; }

// That the checkpoint is of this model, before anything of the model is changed.
absl::Status CheckTensors(const CheckpointReader& reader, const Optimizer* optimizer, const ModelState& state) {
  std::map<std::string, CheckpointReader::Tensor> expected;
  for (const GroupSpec& group : state.model.groups) {
    for (const ParameterSpec& p : group.parameters) {
      expected[p.name] = Described(p);
      if (optimizer == nullptr) continue;
      for (const std::string& k : optimizer->state_tensors()) expected[OptimizerTensorName(k, p.name)] = Described(p);
    }
  }
  for (const ModuleBuffer& b : BuffersOf(state.model)) expected[b.name] = {b.dtype, b.shape, b.numel};
  // Whoever wants the parameters only does not care what else there is.
  if (optimizer == nullptr) {
    for (const auto& [name, tensor] : reader.tensors()) {
      if (absl::StartsWith(name, "optimizer.")) expected[name] = tensor;
    }
  }
  return CheckSameTensors(reader, expected);
}

// What FillTogether fills of a group besides its parameters.
constexpr int kParameters = -1;

// Writes all values of group number `g` to `whole` ([whole_numel], padding left alone): its parameters, or its optimizer
// state `k`. On rank 0 only.
using Fill = std::function<absl::Status(int g, int k, float* whole)>;

// Rank 0's values to all ranks, group by group; each rank keeps its part. Beside the state at most one group is held
// whole, and that only where groups are sharded. `states`: optimizer states of each group, which are there.
absl::Status FillTogether(int states, const Fill& fill, Communicator& communicator, ModelState* state) {
  int64_t largest = 0;
  for (const auto& group : state->groups) {
    if (group->sharded()) largest = std::max(largest, group->layout().whole_numel());
  }
  at::Tensor staging;
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(
      communicator, Annotate(CatchExceptions([&] {
                               if (largest == 0) return;
                               staging = TrackedEmpty("a group's values", {largest}, at::kFloat, Category::kParameters);
                             }),
                             "the values of the largest group")));
  // What fails on rank 0 is told at the end: until then all ranks make the same calls.
  absl::Status status;
  for (size_t g = 0; g < state->groups.size(); ++g) {
    GroupState& group = *state->groups[g];
    const int64_t numel = group.layout().whole_numel();
    for (int k = kParameters; k < states; ++k) {
      float* const whole = group.sharded()    ? staging.data_ptr<float>()
                           : k == kParameters ? group.parameters_data()
                                              : group.optimizer_data(k);
      if (communicator.rank() == 0 && status.ok()) {
        if (group.sharded() && !kernels::Dry()) std::fill_n(whole, numel, 0.0f);  // padding
        const absl::Status thrown = CatchExceptions([&] { status = fill(static_cast<int>(g), k, whole); });
        if (!thrown.ok()) status = thrown;
      }
      STOWAGE_RETURN_IF_ERROR(communicator.Broadcast(whole, numel * DTypeBytes(DType::kFloat32), 0).Wait());
      if (k == kParameters) {
        group.KeepParameters(whole);
      } else {
        group.KeepOptimizerState(k, whole);
      }
    }
  }
  return AgreeOnStatus(communicator, status);
}

absl::Status BroadcastBuffers(Communicator& communicator, ModelState* state) {
  for (const ModuleBuffer& b : BuffersOf(state->model)) {
    STOWAGE_RETURN_IF_ERROR(communicator.Broadcast(b.data, b.numel * DTypeBytes(b.dtype), 0).Wait());
  }
  return absl::OkStatus();
}

// The part of parameter `i` that this rank saves of `data`, which is what it owns of the group; none: nullopt.
std::optional<TensorPiece> PieceOf(const GroupState& group, int i, std::string name, const float* data) {
  const FlatLayout& layout = group.layout();
  const int64_t first = std::max(group.owned_begin(), layout.offset(i));
  const int64_t last = std::min(group.owned_begin() + group.owned_numel(), layout.offset(i) + layout.numel(i));
  if (first >= last && layout.numel(i) > 0) return std::nullopt;
  return TensorPiece{std::move(name),
                     DType::kFloat32,
                     group.spec().parameters[i].shape,
                     first - layout.offset(i),
                     std::max<int64_t>(0, last - first),
                     data + (first - group.owned_begin())};
}

}  // namespace

int64_t ModelState::parameter_count() const {
  int64_t count = 0;
  for (const GroupSpec& group : model.groups) {
    for (const ParameterSpec& p : group.parameters) count += p.numel();
  }
  return count;
}

absl::StatusOr<ModelState> MakeModelState(const Config& config, int world_size, int rank, const OwnKinds& own) {
  ModelState state;
  STOWAGE_ASSIGN_OR_RETURN(state.model, MakeOwnModel(own, config.model));
  STOWAGE_RETURN_IF_ERROR(
      AtItsPlace(config, "fp32_segments", ApplyPrecision(config.precision, config.fp32_segments, &state.model)));
  STOWAGE_RETURN_IF_ERROR(ApplyRecompute(config.memory.recompute, &state.model, config.places));
  ApplySharding(config, &state.model);
  STOWAGE_RETURN_IF_ERROR(
      Annotate(CatchExceptions([&] { state.groups = MakeGroupStates(state.model, world_size, rank); }),
               "making the model's parameters"));
  return state;
}

absl::Status InitializeParameters(uint64_t seed, Communicator& communicator, ModelState* state) {
  // Every rank would compute the same values, but only with the same libm: so rank 0's are sent to all.
  const auto fill = [&](int g, int, float* whole) {
    state->groups[g]->InitialValues(seed, whole);
    return absl::OkStatus();
  };
  STOWAGE_RETURN_IF_ERROR(
      Annotate(FillTogether(/*states=*/0, fill, communicator, state), "the model's starting values"));
  return BroadcastBuffers(communicator, state);
}

absl::Status InitializeFromFolder(const Config& config, Communicator& communicator, ModelState* state) {
  const auto fill = [&](int g, int, float* whole) {
    return ReadHfWeights(config.model.init_from, config.model, state->groups, g, whole);
  };
  STOWAGE_RETURN_IF_ERROR(FillTogether(/*states=*/0, fill, communicator, state));
  return BroadcastBuffers(communicator, state);
}

absl::Status RestoreState(const CheckpointReader* reader, const Optimizer* optimizer, Communicator& communicator,
                          ModelState* state) {
  absl::Status status = CatchExceptions([&] {
    if (optimizer == nullptr) return;
    for (const auto& group : state->groups) group->EnsureOptimizerState(*optimizer);
  });
  const bool reads = communicator.rank() == 0 && !kernels::Dry();
  if (status.ok() && reads) status = CheckTensors(*reader, optimizer, *state);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, status));
  const auto fill = [&](int g, int k, float* whole) -> absl::Status {
    const GroupState& group = *state->groups[g];
    for (int i = 0; i < group.layout().parameters() && reads; ++i) {
      const ParameterSpec& p = group.spec().parameters[i];
      const std::string name = k == kParameters ? p.name : OptimizerTensorName(optimizer->state_tensors()[k], p.name);
      STOWAGE_RETURN_IF_ERROR(reader->Read(name, 0, p.numel(), whole + group.layout().offset(i)));
    }
    return absl::OkStatus();
  };
  const int states = optimizer == nullptr ? 0 : static_cast<int>(optimizer->state_tensors().size());
  STOWAGE_RETURN_IF_ERROR(FillTogether(states, fill, communicator, state));
  if (reads) {
    for (const ModuleBuffer& b : BuffersOf(state->model)) {
      if (status.ok()) status = reader->Read(b.name, 0, b.numel, b.data);
    }
  }
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, status));
  return BroadcastBuffers(communicator, state);
}

std::vector<TensorPiece> PiecesToSave(const Optimizer& optimizer, int rank, int world_size, ModelState& state) {
  std::vector<TensorPiece> pieces;
  for (size_t g = 0; g < state.groups.size(); ++g) {
    GroupState& group = *state.groups[g];
    if (!group.sharded() && static_cast<int>(g) % world_size != rank) continue;
    const auto add = [&](int i, std::string name, const float* data) {
      if (std::optional<TensorPiece> piece = PieceOf(group, i, std::move(name), data)) pieces.push_back(*piece);
    };
    for (int i = 0; i < group.layout().parameters(); ++i) {
      const ParameterSpec& p = group.spec().parameters[i];
      add(i, p.name, group.masters());
      if (!group.has_optimizer_state()) continue;
      for (size_t k = 0; k < optimizer.state_tensors().size(); ++k) {
        add(i, OptimizerTensorName(optimizer.state_tensors()[k], p.name), group.optimizer_data(static_cast<int>(k)));
      }
    }
  }
  // The same on all ranks by now.
  if (rank == 0) {
    for (const ModuleBuffer& b : BuffersOf(state.model)) {
      pieces.push_back({b.name, b.dtype, b.shape, 0, b.numel, b.data});
    }
  }
  return pieces;
}

absl::StatusOr<LoadedModel> LoadModel(const std::string& path, Communicator& communicator, const OwnKinds& own) {
  LoadedModel loaded;
  absl::StatusOr<CheckpointReader> reader = absl::NotFoundError("not opened");
  absl::Status status;
  std::string header;
  if (communicator.rank() == 0) {
    std::vector<std::string> said;
    reader = OpenRunCheckpoint(path, &said);
    status = reader.status();
    if (status.ok()) {
      header = absl::StrCat(reader->info().step, "\n", reader->path(), "\n", reader->info().config_yaml);
      loaded.tokenizer_model = reader->info().tokenizer_model;
    } else if (absl::IsNotFound(status) && IsHfFolder(path)) {
      const absl::StatusOr<Config> config = ConfigOfHfFolder(path);
      status = config.status();
      if (status.ok()) {
        header = absl::StrCat(kFromFolder, "\n", path, "\n", ConfigToYaml(*config));
        absl::StatusOr<std::string> tokenizer_model = TokenizerModelOfHfFolder(path);
        status = tokenizer_model.status();
        if (status.ok()) loaded.tokenizer_model = *std::move(tokenizer_model);
      }
    }
  }
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, status));
  STOWAGE_ASSIGN_OR_RETURN(std::vector<std::string> headers, communicator.ExchangeText(header));
  const size_t first = headers[0].find('\n');
  const size_t second = headers[0].find('\n', first + 1);
  loaded.has_data = headers[0].substr(0, first) != kFromFolder;
  if (loaded.has_data) loaded.step = std::stoll(headers[0].substr(0, first));
  loaded.path = headers[0].substr(first + 1, second - first - 1);
  STOWAGE_ASSIGN_OR_RETURN(loaded.config, ParseConfig(headers[0].substr(second + 1), loaded.path + "/config.yaml", {},
                                                      RegisteredOf(own)));
  absl::StatusOr<std::shared_ptr<HostBudget>> budget =
      HostBudget::Acquire(loaded.config.memory, communicator.placement(), HostBudget::RanksInProcess(communicator));
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, budget.status()));
  loaded.budget = *std::move(budget);
  absl::StatusOr<ModelState> state =
      MakeModelState(Unsharded(loaded.config), communicator.world_size(), communicator.rank(), own);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, state.status()));
  loaded.state = *std::move(state);
  if (!loaded.has_data) {
    STOWAGE_RETURN_IF_ERROR(InitializeFromFolder(loaded.config, communicator, &loaded.state));
    return loaded;
  }
  STOWAGE_RETURN_IF_ERROR(
      RestoreState(reader.ok() ? &*reader : nullptr, nullptr, communicator, &loaded.state));
  return loaded;
}

}  // namespace stowage
