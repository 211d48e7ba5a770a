// What to change on a machine, from what it has. Only where something is wrong; a machine in order gets no lines.
#ifndef STOWAGE_TRAINER_DOCTOR_ADVICE_H_
#define STOWAGE_TRAINER_DOCTOR_ADVICE_H_

#include <string>
#include <vector>

#include "trainer/doctor/facts.h"

namespace stowage {

// Each line says what was found, what it costs, and what to do. Pure.
std::vector<std::string> AdviceFor(const Facts& facts);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DOCTOR_ADVICE_H_
