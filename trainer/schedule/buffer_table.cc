#include "trainer/schedule/buffer_table.h"

#include "base/check.h"

namespace stowage {

void BufferTable::SetSize(BufferKind kind, int targets, int micros) {
  Kind& k = kinds_[static_cast<int>(kind)];
  k.targets = targets;
  k.micros = micros;
  k.states.assign(static_cast<size_t>(targets) * micros, State());
  if (kind == BufferKind::kEvent) lent_.assign(targets, {});
}

const BufferTable::State& BufferTable::at(Buffer buffer) const {
  const Kind& kind = kinds_[static_cast<int>(buffer.kind)];
  STOWAGE_CHECK(buffer.target >= 0 && buffer.target < kind.targets && buffer.micro >= 0 && buffer.micro < kind.micros)
      << "kind " << static_cast<int>(buffer.kind) << " target " << buffer.target << " micro " << buffer.micro;
  return kind.states[static_cast<size_t>(buffer.target) * kind.micros + buffer.micro];
}

void BufferTable::Start(Buffer buffer) { at(buffer).life = Life::kThere; }

void BufferTable::Expect(Buffer buffer, int adds) { at(buffer).expected_adds = adds; }

Fault BufferTable::Usable(const State& state) const {
  if (state.life == Life::kNever) return Fault::kNever;
  if (state.life == Life::kGone) return Fault::kGone;
  return state.lent_until >= 0 ? Fault::kLent : Fault::kNone;
}

Fault BufferTable::Apply(const Effect& effect, int index) {
  State& state = at(effect.buffer);
  const Fault usable = Usable(state);
  const auto begin = [&] {
    state.life = Life::kThere;
    state.taken_at = index;
  };
  switch (effect.act) {
    case Act::kTake:
      if (usable == Fault::kGone) return Fault::kGone;
      if (usable != Fault::kNever) return Fault::kThere;
      begin();
      return Fault::kNone;
    case Act::kRefill:
      if (usable == Fault::kLent) return usable;
      if (usable != Fault::kNone) begin();
      return Fault::kNone;
    case Act::kRead:
      return usable;
    case Act::kAdd:
      if (usable == Fault::kGone || usable == Fault::kLent) return usable;
      if (state.sealed) return Fault::kSealed;
      if (usable == Fault::kNever) begin();
      ++state.adds;
      return Fault::kNone;
    case Act::kLend:
      if (usable != Fault::kNone) return usable;
      if (state.sealed) return Fault::kSealed;
      if (state.adds != state.expected_adds) return Fault::kIncomplete;
      state.sealed = true;
      state.lent_until = effect.event;
      at({BufferKind::kEvent, effect.event});  // one that there can be
      lent_[effect.event].push_back(effect.buffer);
      return Fault::kNone;
    case Act::kFetch:
      if (usable == Fault::kLent) return usable;
      if (usable == Fault::kNone) return Fault::kThere;
      begin();
      state.lent_until = effect.event;
      at({BufferKind::kEvent, effect.event});  // one that there can be
      lent_[effect.event].push_back(effect.buffer);
      return Fault::kNone;
    case Act::kSettle:
      if (usable == Fault::kNever || usable == Fault::kLent) return usable;
      if (!state.sealed) return Fault::kIncomplete;
      state.life = Life::kGone;
      return Fault::kNone;
    case Act::kReturn:
      if (usable != Fault::kNone) return usable;
      for (const Buffer& buffer : lent_[effect.buffer.target]) at(buffer).lent_until = -1;
      lent_[effect.buffer.target].clear();
      state.life = Life::kGone;
      return Fault::kNone;
    case Act::kFree:
      if (usable != Fault::kNone) return usable;
      state.life = Life::kGone;
      return Fault::kNone;
    case Act::kDrop:
      if (usable == Fault::kLent) return usable;
      if (usable == Fault::kNone) state.life = Life::kGone;
      return Fault::kNone;
  }
  STOWAGE_CHECK(false) << "act " << static_cast<int>(effect.act);
  return Fault::kNone;
}

bool BufferTable::IsThere(Buffer buffer) const { return at(buffer).life == Life::kThere; }

bool BufferTable::WasEver(Buffer buffer) const { return at(buffer).life != Life::kNever; }

int BufferTable::TakenAt(Buffer buffer) const { return at(buffer).taken_at; }

template <typename Condition>
std::optional<Buffer> BufferTable::First(BufferKind kind, Condition condition) const {
  const Kind& k = kinds_[static_cast<int>(kind)];
  for (size_t i = 0; i < k.states.size(); ++i) {
    if (!condition(k.states[i])) continue;
    return Buffer{kind, static_cast<int>(i) / k.micros, static_cast<int>(i) % k.micros};
  }
  return std::nullopt;
}

std::optional<Buffer> BufferTable::FirstThere(BufferKind kind) const {
  return First(kind, [](const State& state) { return state.life == Life::kThere; });
}

std::optional<Buffer> BufferTable::FirstNeverLent(BufferKind kind) const {
  return First(kind, [](const State& state) { return state.life == Life::kThere && !state.sealed; });
}

}  // namespace stowage
