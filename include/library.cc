// What libstowage.so must hold. The linker takes of a static library what is referred to; so one function refers to an
// entry of each public header, and all else follows from those. It is never called. tests/cmake_consumer links with the
// result.
#include "stowage/stowage.h"

namespace stowage {

int KeepInLibrary(int argc, char** argv) {
  ModelBuilder builder;
  OwnKinds own;
  own.models["x"] = ModelKind([&builder](const ModelConfig&) { return builder.Input({}).Build(); });
  own.data["x"] = [](const DataConfig& data) { return OpenData(data, 1, 1, nullptr); };
  if (!ReadIdxFile(argv[0]).ok() || !CheckOwnKinds(own).ok()) return 1;
  const int trained = TrainMain(own.models["x"], own.data["x"], Config());
  return Train(own.models["x"], own.data["x"], Config()).ok() ? trained : Main(argc, argv, own.models, own.data);
}

}  // namespace stowage
