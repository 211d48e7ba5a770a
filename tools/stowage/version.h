// The version of Stowage itself.
#ifndef STOWAGE_TOOLS_STOWAGE_VERSION_H_
#define STOWAGE_TOOLS_STOWAGE_VERSION_H_

namespace stowage {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace stowage

#endif  // STOWAGE_TOOLS_STOWAGE_VERSION_H_
