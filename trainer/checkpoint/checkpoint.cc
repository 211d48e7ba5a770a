#include "trainer/checkpoint/checkpoint.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "sharding/agreement.h"
#include "trainer/checkpoint/checkpoint_folder.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/checkpoint/tensor_shape.h"

namespace stowage {
namespace {

absl::Status CheckPiece(const TensorPiece& piece) {
  if (absl::StrContains(piece.name, '@')) return absl::InvalidArgumentError("its name has an '@', which marks pieces");
  STOWAGE_ASSIGN_OR_RETURN(const int64_t whole, NumelOfShape(piece.shape, piece.dtype));
  if (piece.first_element < 0 || piece.numel < 0 || piece.numel > whole || piece.first_element > whole - piece.numel) {
    return absl::InvalidArgumentError(absl::StrCat("a piece of ", piece.numel, " elements from ", piece.first_element,
                                                   ", but ", ShapeText(piece.shape), " has ", whole));
  }
  if (piece.numel > 0 && piece.data == nullptr) return absl::InvalidArgumentError("a piece without data");
  return absl::OkStatus();
}

// How a piece is entered in the rank's file: as the tensor itself if it is all of it.
SafetensorsTensor EntryOf(const TensorPiece& piece, bool is_whole) {
  SafetensorsTensor entry;
  entry.name = is_whole ? piece.name : absl::StrCat(piece.name, "@", piece.first_element);
  entry.dtype = piece.dtype;
  entry.shape = is_whole ? piece.shape : std::vector<int64_t>{piece.numel};
  return entry;
}

// Writes this rank's file, synced; returns what the manifest says of it. A rank without pieces writes none.
absl::StatusOr<Manifest> WritePieces(const std::string& folder, int rank, int64_t step,
                                     const std::vector<TensorPiece>& pieces) {
  std::vector<SafetensorsTensor> entries;
  std::vector<const TensorPiece*> written;
  for (const TensorPiece& piece : pieces) {
    STOWAGE_RETURN_IF_ERROR(Annotate(CheckPiece(piece), absl::StrCat("tensor ", piece.name)));
    STOWAGE_ASSIGN_OR_RETURN(const int64_t whole, NumelOfShape(piece.shape, piece.dtype));
    if (piece.numel == 0 && whole > 0) continue;
    entries.push_back(EntryOf(piece, piece.numel == whole));
    written.push_back(&piece);
  }
  Manifest part;
  part.info.step = step;
  if (written.empty()) return part;

  const std::string name = absl::StrFormat("rank-%05d.safetensors", rank);
  STOWAGE_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(absl::StrCat(folder, "/", name), std::move(entries),
                                {{"stowage.step", absl::StrCat(step)}, {"stowage.rank", absl::StrCat(rank)}}));
  for (size_t i : writer.order()) {
    const TensorPiece& piece = *written[i];
    const SafetensorsTensor& entry = writer.tensors()[i];
    STOWAGE_RETURN_IF_ERROR(writer.Append(piece.data, entry.bytes));
    Manifest::Tensor& tensor = part.tensors[piece.name];
    tensor.dtype = piece.dtype;
    tensor.shape = piece.shape;
    tensor.ranges.push_back({name, entry.file_offset, piece.first_element, piece.numel});
  }
  STOWAGE_RETURN_IF_ERROR(writer.Finish());
  part.files[name] = {writer.file_bytes(), writer.crc32c()};
  return part;
}

absl::Status WriteText(const std::string& folder, const std::string& name, const std::string& text,
                       Manifest& manifest) {
  STOWAGE_RETURN_IF_ERROR(WriteFileDurably(absl::StrCat(folder, "/", name), text));
  manifest.files[name] = {static_cast<int64_t>(text.size()), Crc32c(text)};
  return absl::OkStatus();
}

// Rank 0: puts the parts of all ranks together, writes the manifest last, and gives the folder its name.
absl::StatusOr<std::string> Complete(const std::string& folder, const std::string& partial, const CheckpointInfo& info,
                                     const std::vector<std::string>& parts) {
  Manifest manifest;
  manifest.world_size = static_cast<int>(parts.size());
  for (size_t rank = 0; rank < parts.size(); ++rank) {
    const std::string who = absl::StrCat("the part of rank ", rank);
    const auto part = ManifestFromJson(parts[rank]);
    if (!part.ok()) return Annotate(part.status(), who);
    STOWAGE_RETURN_IF_ERROR(Annotate(AddPart(*part, manifest), who));
  }
  manifest.info = info;
  STOWAGE_RETURN_IF_ERROR(WriteText(partial, "config.yaml", info.config_yaml, manifest));
  if (!info.plan_json.empty()) STOWAGE_RETURN_IF_ERROR(WriteText(partial, "plan.json", info.plan_json, manifest));
  if (!info.tokenizer_model.empty()) {
    STOWAGE_RETURN_IF_ERROR(WriteText(partial, "tokenizer.model", info.tokenizer_model, manifest));
  }
  STOWAGE_RETURN_IF_ERROR(CheckManifest(manifest));
  STOWAGE_ASSIGN_OR_RETURN(const std::string text, ManifestToJson(manifest));
  STOWAGE_RETURN_IF_ERROR(WriteFileDurably(absl::StrCat(partial, "/manifest.json"), text));
  return PublishCheckpoint(folder, partial, info.step);
}

absl::StatusOr<std::string> MakePartial(const std::string& folder, const CheckpointInfo& info, int64_t keep,
                                        std::vector<std::string>* said) {
  if (keep < 1) return absl::InvalidArgumentError(absl::StrCat("checkpoint.keep: ", keep, ", at least 1 must be kept"));
  if (info.step < 0) return absl::InvalidArgumentError(absl::StrCat("checkpoint of step ", info.step));
  return MakePartialCheckpoint(folder, info.step, said);
}

// From the made folder to the named one. Collective.
absl::StatusOr<std::string> SaveInto(Communicator& communicator, const std::string& folder, const std::string& partial,
                                     const CheckpointInfo& info, const std::vector<TensorPiece>& pieces) {
  absl::StatusOr<Manifest> part = WritePieces(partial, communicator.rank(), info.step, pieces);
  if (absl::IsNotFound(part.status()) && communicator.world_size() > 1) {
    part = Annotate(part.status(), "is the run folder on a file system that all hosts see?");
  }
  const absl::StatusOr<std::string> text = part.ok() ? ManifestToJson(*part) : part.status();
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, text.status()));
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> parts, communicator.ExchangeText(*text));
  absl::StatusOr<std::string> path = std::string();
  if (communicator.rank() == 0) path = Complete(folder, partial, info, parts);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, path.status()));
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> paths, communicator.ExchangeText(*path));
  return paths[0];
}

}  // namespace

absl::StatusOr<std::string> SaveCheckpoint(Communicator& communicator, const std::string& folder,
                                           const CheckpointInfo& info, const std::vector<TensorPiece>& pieces,
                                           int64_t keep, std::vector<std::string>* said) {
  const bool leads = communicator.rank() == 0;
  absl::StatusOr<std::string> partial = std::string();
  if (leads) partial = MakePartial(folder, info, keep, said);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, partial.status()));
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> partials, communicator.ExchangeText(*partial));

  const auto path = SaveInto(communicator, folder, partials[0], info, pieces);
  if (!leads) return path;
  if (!path.ok()) {
    // All ranks have closed their files: an error is agreed on. What cannot be removed now, the next save removes.
    (void)RemoveTree(*partial);
    return path;
  }
  RemoveOldCheckpoints(folder, info.step, keep, said);
  return path;
}

absl::StatusOr<CheckpointReader> OpenNewest(const std::string& folder, std::vector<std::string>* said) {
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<CheckpointEntry> entries, ListCheckpoints(folder));
  for (const CheckpointEntry& entry : entries) {
    auto reader = CheckpointReader::Open(entry.path);
    const absl::Status status = reader.ok() ? reader->Verify() : reader.status();
    if (status.ok()) return reader;
    if (absl::IsFailedPrecondition(status)) return status;
    if (said != nullptr)
      said->push_back(absl::StrCat("checkpoint of step ", entry.step, " is damaged, passed over: ", status.message()));
  }
  return absl::NotFoundError(absl::StrCat(folder, ": no ", entries.empty() ? "" : "whole ", "checkpoint is there"));
}

}  // namespace stowage
