#include "kernels/dry.h"

namespace stowage::kernels {
namespace {

thread_local bool dry = false;

}  // namespace

bool Dry() { return dry; }

DryScope::DryScope(bool dry_now) : before_(dry) { dry = dry_now; }

DryScope::~DryScope() { dry = before_; }

}  // namespace stowage::kernels
