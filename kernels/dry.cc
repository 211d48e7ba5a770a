#include "kernels/dry.h"

namespace stowage::kernels {
namespace {

thread_local int scopes = 0;

}  // namespace

bool Dry() { return scopes > 0; }

DryScope::DryScope() { ++scopes; }

DryScope::~DryScope() { --scopes; }

}  // namespace stowage::kernels
