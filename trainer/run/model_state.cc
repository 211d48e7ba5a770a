#include "trainer/run/model_state.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sharding/agreement.h"
#include "trainer/checkpoint/open_run.h"
#include "trainer/config/load.h"
#include "trainer/executor/exceptions.h"
#include "trainer/model/precision.h"
#include "trainer/run/hf_start.h"
#include "trainer/run/module_buffers.h"

namespace stowage {
namespace {

// Instead of a step, in what rank 0 tells the others of a model to load.
constexpr char kFromFolder[] = "from-folder";

std::string OptimizerTensorName(absl::string_view state, absl::string_view parameter) {
  return absl::StrCat("optimizer.", state, ".", parameter);
}

// Every tensor that a restore reads: where it goes, and what it must look like.
struct Wanted {
  std::string name;
  std::vector<int64_t> shape;
  int64_t numel = 0;
  void* to = nullptr;
  DType dtype = DType::kFloat32;
};

std::vector<Wanted> WantedTensors(const Optimizer* optimizer, ModelState* state) {
  std::vector<Wanted> wanted;
  for (const auto& group : state->groups) {
    const FlatLayout& layout = group->layout();
    for (int i = 0; i < layout.parameters(); ++i) {
      const ParameterSpec& p = group->spec().parameters[i];
      wanted.push_back({p.name, p.shape, layout.numel(i), group->parameters_data() + layout.offset(i)});
      if (optimizer == nullptr) continue;
      for (size_t k = 0; k < optimizer->state_tensors().size(); ++k) {
        wanted.push_back({OptimizerTensorName(optimizer->state_tensors()[k], p.name), p.shape, layout.numel(i),
                          group->optimizer_data(static_cast<int>(k)) + layout.offset(i)});
      }
    }
  }
  for (const ModuleBuffer& b : BuffersOf(state->model)) wanted.push_back({b.name, b.shape, b.numel, b.data, b.dtype});
  return wanted;
}

absl::Status Read(const CheckpointReader& reader, const std::vector<Wanted>& wanted, bool with_optimizer) {
  std::map<std::string, CheckpointReader::Tensor> expected;
  for (const Wanted& w : wanted) expected[w.name] = {w.dtype, w.shape, w.numel};
  // Whoever wants the parameters only does not care what else there is.
  if (!with_optimizer) {
    for (const auto& [name, tensor] : reader.tensors()) {
      if (absl::StartsWith(name, "optimizer.")) expected[name] = tensor;
    }
  }
  STOWAGE_RETURN_IF_ERROR(CheckSameTensors(reader, expected));
  for (const Wanted& w : wanted) STOWAGE_RETURN_IF_ERROR(reader.Read(w.name, 0, w.numel, w.to));
  return absl::OkStatus();
}

// The bytes of rank 0's buffers to all ranks, which make their copies of them.
absl::Status BroadcastState(const Optimizer* optimizer, Communicator& communicator, ModelState* state) {
  for (const auto& group : state->groups) {
    const int64_t bytes = group->layout().whole_numel() * DTypeBytes(DType::kFloat32);
    STOWAGE_RETURN_IF_ERROR(communicator.Broadcast(group->parameters_data(), bytes, 0).Wait());
    group->ParametersWritten();
    if (optimizer == nullptr) continue;
    for (size_t k = 0; k < optimizer->state_tensors().size(); ++k) {
      STOWAGE_RETURN_IF_ERROR(communicator.Broadcast(group->optimizer_data(static_cast<int>(k)), bytes, 0).Wait());
    }
  }
  for (const ModuleBuffer& b : BuffersOf(state->model)) {
    STOWAGE_RETURN_IF_ERROR(communicator.Broadcast(b.data, b.numel * DTypeBytes(b.dtype), 0).Wait());
  }
  return absl::OkStatus();
}

}  // namespace

int64_t ModelState::parameter_count() const {
  int64_t count = 0;
  for (const GroupSpec& group : model.groups) {
    for (const ParameterSpec& p : group.parameters) count += p.numel();
  }
  return count;
}

absl::StatusOr<ModelState> MakeModelState(const Config& config, int world_size, const OwnKinds& own) {
  ModelState state;
  STOWAGE_ASSIGN_OR_RETURN(state.model, MakeOwnModel(own, config.model));
  STOWAGE_RETURN_IF_ERROR(ApplyPrecision(config.precision, config.fp32_segments, &state.model));
  STOWAGE_RETURN_IF_ERROR(Annotate(CatchExceptions([&] { state.groups = MakeGroupStates(state.model, world_size); }),
                                   "making the model's parameters"));
  return state;
}

absl::Status InitializeParameters(uint64_t seed, Communicator& communicator, ModelState* state) {
  // Every rank would compute the same values, but only with the same libm: so rank 0's are sent to all.
  absl::Status made;
  if (communicator.rank() == 0) {
    made = CatchExceptions([&] {
      for (const auto& group : state->groups) group->Initialize(seed);
    });
  }
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, Annotate(made, "the model's starting values")));
  return BroadcastState(nullptr, communicator, state);
}

absl::Status InitializeFromFolder(const Config& config, Communicator& communicator, ModelState* state) {
  absl::Status read;
  if (communicator.rank() == 0) read = ReadHfWeights(config.model.init_from, config.model, &state->groups);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, read));
  return BroadcastState(nullptr, communicator, state);
}

absl::Status RestoreState(const CheckpointReader* reader, const Optimizer* optimizer, Communicator& communicator,
                          ModelState* state) {
  absl::Status status = CatchExceptions([&] {
    if (optimizer == nullptr) return;
    for (const auto& group : state->groups) group->EnsureOptimizerState(*optimizer);
  });
  if (status.ok() && communicator.rank() == 0) {
    status = Read(*reader, WantedTensors(optimizer, state), optimizer != nullptr);
  }
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, status));
  return BroadcastState(optimizer, communicator, state);
}

std::vector<TensorPiece> PiecesToSave(const Optimizer& optimizer, int rank, int world_size, ModelState& state) {
  std::vector<TensorPiece> pieces;
  for (size_t g = rank; g < state.groups.size(); g += world_size) {
    GroupState& group = *state.groups[g];
    const FlatLayout& layout = group.layout();
    for (int i = 0; i < layout.parameters(); ++i) {
      const ParameterSpec& p = group.spec().parameters[i];
      pieces.push_back({p.name, DType::kFloat32, p.shape, 0, layout.numel(i),
                        group.parameters_data() + layout.offset(i)});
      if (!group.has_optimizer_state()) continue;
      for (size_t k = 0; k < optimizer.state_tensors().size(); ++k) {
        pieces.push_back({OptimizerTensorName(optimizer.state_tensors()[k], p.name), DType::kFloat32, p.shape, 0,
                          layout.numel(i), group.optimizer_data(static_cast<int>(k)) + layout.offset(i)});
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
  absl::StatusOr<ModelState> state = MakeModelState(loaded.config, communicator.world_size(), own);
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
