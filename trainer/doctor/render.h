// Facts and advice as people read them, and as programs do.
#ifndef STOWAGE_TRAINER_DOCTOR_RENDER_H_
#define STOWAGE_TRAINER_DOCTOR_RENDER_H_

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "trainer/doctor/facts.h"

namespace stowage {

// Lines of "name   value", the advice last; ends with a line feed.
std::string FactsText(const Facts& facts, const std::vector<std::string>& advice);

// One object; sizes in bytes, as in the text. What was not found is absent.
nlohmann::ordered_json FactsJson(const Facts& facts, const std::vector<std::string>& advice);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DOCTOR_RENDER_H_
