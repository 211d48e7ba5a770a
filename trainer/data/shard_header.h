// The first bytes of token files. All numbers little-endian, as is every machine this runs on.
#ifndef STOWAGE_TRAINER_DATA_SHARD_HEADER_H_
#define STOWAGE_TRAINER_DATA_SHARD_HEADER_H_

#include <cstddef>
#include <cstdint>

namespace stowage {

inline constexpr char kShardMagic[8] = {'S', 'T', 'O', 'W', 'T', 'O', 'K', 'S'};
inline constexpr uint32_t kShardVersion = 1;

// Stowage's own shard: this, then `tokens` unsigned numbers of `token_bytes` bytes, and nothing after them.
struct ShardHeader {
  char magic[8];
  uint32_t version;
  uint32_t token_bytes;  // 1, 2 or 4
  uint64_t vocabulary;   // every token is below it
  uint64_t tokens;
  uint32_t payload_crc32c;  // of all that follows the header
  char zero[24];            // room for later versions
  uint32_t header_crc32c;   // of the 60 bytes before it
};
static_assert(sizeof(ShardHeader) == 64 && offsetof(ShardHeader, payload_crc32c) == 32 &&
              offsetof(ShardHeader, header_crc32c) == 60);

// llm.c (dev/data/data_common.py): 256 int32, of which three are used: magic, version, tokens.
inline constexpr int64_t kLlmCHeaderBytes = 1024;
inline constexpr int32_t kLlmCGpt2Magic = 20240520;    // version 1: uint16, the GPT-2 tokenizer
inline constexpr int32_t kLlmCLlama3Magic = 20240801;  // version 7: uint32, the Llama 3 tokenizer
constexpr bool IsLlmCMagic(int32_t magic) { return magic == kLlmCGpt2Magic || magic == kLlmCLlama3Magic; }

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SHARD_HEADER_H_
