// All keys of a config, in the order in which people read them.
#ifndef STOWAGE_TRAINER_CONFIG_SCHEMA_H_
#define STOWAGE_TRAINER_CONFIG_SCHEMA_H_

#include <string>
#include <vector>

#include "trainer/config/field.h"

namespace stowage {

struct Section {
  std::string key;  // "optimizer.schedule"; "" for keys that stand at the top
  std::string sentence;
};

// Both built on first use, never destroyed. Fields stand grouped by section, in the order of Sections().
const std::vector<Section>& Sections();
const std::vector<Field>& Fields();

// Null if there is none.
const Field* FindField(const std::string& key);
const Section* FindSection(const std::string& key);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_SCHEMA_H_
