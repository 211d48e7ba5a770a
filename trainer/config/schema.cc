#include "trainer/config/schema.h"

#include <utility>

#include "trainer/config/schema_sections.h"

namespace stowage {

const std::vector<Section>& Sections() {
  static const auto* const sections = new std::vector<Section>{
      {"run", "What the run is called, and where it runs."},
      {"model", "The network and its size."},
      {"data", "What it learns from: a built-in text by name, or files."},
      {"train", "How long, in which batches. Batches are counted in sequences."},
      {"optimizer", "How gradients become new weights."},
      {"optimizer.schedule", "The learning rate over the run: a linear warm-up, then a curve from lr to final_lr."},
      {"", "Keys that stand at the top."},
      {"memory", "How much memory a rank may use, and by what means it stays inside. All budgets are per rank."},
      {"memory.disk", "Where, and how much, may go to disk."},
      {"memory.offload", "Where each kind of bytes lives between uses."},
      {"sharding", "How ranks share the work and the bytes."},
      {"checkpoint",
       "When the state is saved, and how much of it is kept. It is always saved at the end and on a "
       "signal."},
  };
  return *sections;
}

const std::vector<Field>& Fields() {
  static const auto* const fields = [] {
    auto* all = new std::vector<Field>;
    for (std::vector<Field> part : {ExperimentFields(), TrainingFields(), MachineFields()}) {
      for (Field& field : part) all->push_back(std::move(field));
    }
    return all;
  }();
  return *fields;
}

const Field* FindField(const std::string& key) {
  for (const Field& field : Fields()) {
    if (field.key == key) return &field;
  }
  return nullptr;
}

const Section* FindSection(const std::string& key) {
  for (const Section& section : Sections()) {
    if (section.key == key) return &section;
  }
  return nullptr;
}

}  // namespace stowage
