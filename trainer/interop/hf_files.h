// Names of the files in a Hugging Face model folder.
#ifndef STOWAGE_TRAINER_INTEROP_HF_FILES_H_
#define STOWAGE_TRAINER_INTEROP_HF_FILES_H_

namespace stowage {

inline constexpr char kHfConfigFile[] = "config.json";
inline constexpr char kHfGenerationConfigFile[] = "generation_config.json";
inline constexpr char kHfWeightsFile[] = "model.safetensors";
inline constexpr char kHfIndexFile[] = "model.safetensors.index.json";
inline constexpr char kHfTokenizerFile[] = "tokenizer.json";
inline constexpr char kHfTokenizerConfigFile[] = "tokenizer_config.json";
inline constexpr char kHfSentencepieceFile[] = "tokenizer.model";

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_HF_FILES_H_
