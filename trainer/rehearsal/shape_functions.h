// What comes out of operators that LibTorch has no Meta kernel for in C++ (its Python has them).
//
// A shape function takes the operator's arguments and gives its results, new tensors of DryEmpty, with the sizes, dtypes
// and strides that the CPU kernel gives. Written from the operators' schemas and the CPU kernels' behaviour in LibTorch
// 2.11; the tests compare each with the real operator.
#ifndef STOWAGE_TRAINER_REHEARSAL_SHAPE_FUNCTIONS_H_
#define STOWAGE_TRAINER_REHEARSAL_SHAPE_FUNCTIONS_H_

#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

namespace stowage {

using ShapeFunction = std::vector<c10::IValue> (*)(const std::vector<c10::IValue>& arguments);

// By the operator's name with overload: "aten::index_select", "aten::relu", "aten::where.self". Null: there is none.
ShapeFunction ShapeFunctionOf(const std::string& name);
// All names that have one, sorted.
std::vector<std::string> ShapeFunctionNames();

}  // namespace stowage

#endif  // STOWAGE_TRAINER_REHEARSAL_SHAPE_FUNCTIONS_H_
