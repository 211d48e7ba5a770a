#include "trainer/run/run_data.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/executor/exceptions.h"

namespace stowage {
namespace {

absl::StatusOr<Data> OpenOwnData(const DataSource& source, const DataConfig& config) {
  absl::StatusOr<Data> data = absl::InternalError("the source did not return");
  absl::Status status = CatchExceptions([&] { data = source(config); });
  if (status.ok()) status = data.status();
  if (status.ok() && data->train == nullptr) status = absl::InvalidArgumentError("it gives no training data");
  for (const Dataset* set : {status.ok() ? data->train.get() : nullptr, status.ok() ? data->validation.get() : nullptr}) {
    if (set != nullptr && set->size() < 1) status = absl::InvalidArgumentError("it has a set without samples");
  }
  if (!status.ok()) return Annotate(status, absl::StrCat("data.source ", config.source));
  return data;
}

}  // namespace

absl::StatusOr<Data> OpenRunData(const Config& config, const OwnKinds& own,
                                 const std::function<void(const std::string&)>& say) {
  const auto source = own.data.find(config.data.source);
  if (source != own.data.end()) return OpenOwnData(source->second, config.data);
  return OpenData(config.data, config.model.context, config.model.vocabulary.value_or(0), say);
}

}  // namespace stowage
