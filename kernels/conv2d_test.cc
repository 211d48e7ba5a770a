// Convolutions against ATen's in double.
#include "kernels/conv2d.h"

#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/from_blob.h>

#include <vector>

#include "kernels/element_test_util.h"

namespace stowage::kernels {
namespace {

struct Case {
  const char* name;
  Conv2dShape shape;
};

// Blocks of 1, 2, 4 and 16 channels and several of them, odd numbers of vectors, tiles of 14, 7, 4 and 1 pixels, and
// kernels, strides and borders that do not fit together well.
const Case kCases[] = {
    {"Stem", {3, 28, 28, 1, 16, 3, 3, 1, 1}},
    {"Colour", {2, 9, 11, 3, 20, 3, 3, 1, 1}},
    {"TwoChannels", {2, 6, 5, 2, 7, 3, 3, 1, 1}},
    {"ColourStride2", {2, 9, 12, 3, 20, 3, 3, 2, 1}},
    {"Same16", {2, 28, 28, 16, 16, 3, 3, 1, 1}},
    {"Half", {2, 14, 14, 16, 32, 3, 3, 2, 1}},
    {"HalfOfOdd", {2, 7, 9, 17, 33, 3, 3, 2, 1}},
    {"Wide", {19, 7, 7, 64, 64, 3, 3, 1, 1}},
    {"ThreeVectors", {1, 5, 8, 48, 48, 3, 3, 1, 1}},
    {"Point", {2, 8, 8, 32, 8, 1, 1, 1, 0}},
    {"PointStride2", {2, 8, 7, 16, 64, 1, 1, 2, 0}},
    {"Five", {2, 12, 10, 4, 6, 5, 5, 1, 2}},
    {"FiveStride2WithoutPadding", {2, 12, 11, 5, 6, 5, 5, 2, 0}},
    {"EvenKernel", {2, 9, 8, 6, 6, 2, 4, 2, 1}},
    {"OnePixel", {2, 1, 1, 16, 16, 3, 3, 1, 1}},
    {"Bands", {1, 150, 70, 40, 16, 3, 3, 1, 1}},
};

struct Problem {
  Problem(DType type, const Conv2dShape& s)
      : shape(s),
        x(type, TestValues(s.samples * s.rows * s.columns * s.in_channels, 1)),
        weight(type, TestValues(s.weight_numel(), 2)),
        dy(type, TestValues(s.samples * s.out_rows() * s.out_columns() * s.out_channels, 3)) {}

  const Conv2dShape shape;
  const Elements x, weight, dy;
};

struct Result {
  explicit Result(const Problem& p)
      : y(p.dy.dtype(), p.dy.numel()), dx(p.x.dtype(), p.x.numel()), dweight(p.weight.numel(), 99.0f) {}
  Elements y, dx;
  std::vector<float> dweight;
};

Result RunAll(const Problem& p, bool accumulate = false) {
  Result result(p);
  Conv2d(p.x.dtype(), p.shape, p.x.data(), p.weight.data(), result.y.data());
  Conv2dInputGradient(p.x.dtype(), p.shape, p.dy.data(), p.weight.data(), result.dx.data());
  Conv2dWeightGradient(p.x.dtype(), p.shape, p.x.data(), p.dy.data(), accumulate, result.dweight.data());
  return result;
}

// `elements` in the order of `sizes` (channels-last for images), as doubles of NCHW.
at::Tensor Images(const Elements& elements, int64_t samples, int64_t rows, int64_t columns, int64_t channels) {
  std::vector<double> values = Doubles(elements);
  return at::from_blob(values.data(), {samples, rows, columns, channels}, at::kDouble).permute({0, 3, 1, 2}).clone();
}

std::vector<double> Values(const at::Tensor& t) {
  const at::Tensor flat = t.contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

struct Reference {
  explicit Reference(const Problem& p) {
    const Conv2dShape& s = p.shape;
    std::vector<double> weights = Doubles(p.weight);
    const at::Tensor x = Images(p.x, s.samples, s.rows, s.columns, s.in_channels),
                     gradient = Images(p.dy, s.samples, s.out_rows(), s.out_columns(), s.out_channels),
                     weight = at::from_blob(
                         weights.data(), {s.out_channels, s.in_channels, s.kernel_rows, s.kernel_columns}, at::kDouble);
    const std::vector<int64_t> stride = {s.stride, s.stride}, padding = {s.padding, s.padding}, one = {1, 1},
                               zero = {0, 0};
    y = Values(at::convolution(x, weight, {}, stride, padding, one, false, zero, 1).permute({0, 2, 3, 1}));
    const auto gradients = at::convolution_backward(gradient, x, weight, at::OptionalIntArrayRef(), stride, padding,
                                                    one, false, zero, 1, {true, true, false});
    dx = Values(std::get<0>(gradients).permute({0, 2, 3, 1}));
    dweight = Values(std::get<1>(gradients));
  }
  std::vector<double> y, dx, dweight;
};

class Conv2dTest : public testing::TestWithParam<std::tuple<Case, DType>> {
 protected:
  Conv2dTest() : problem_(std::get<1>(GetParam()), std::get<0>(GetParam()).shape) {}
  const Problem problem_;
};

// Tolerance: sums of up to 600 products (y, dx) and 10,500 (dweight) of values below 1, whose partial sums stay below
// 20 and 64: an addition is off by half a unit of the last place at most, 1e-6 and 2e-6, and these add up as the root
// of their number, four times which is allowed. Images are rounded once more in bf16, which Near() adds.
TEST_P(Conv2dTest, IsAtensInDoubleToRounding) {
  const Reference ref(problem_);
  ForEachWidthAndThreadCount([&](const std::string& machine) {
    SCOPED_TRACE(machine);
    const Result result = RunAll(problem_);
    EXPECT_TRUE(Near(result.y, ref.y, 8e-5));
    EXPECT_TRUE(Near(result.dx, ref.dx, 8e-5));
    EXPECT_TRUE(Near(Elements(DType::kFloat32, result.dweight), ref.dweight, 8e-4));
  });
}

TEST_P(Conv2dTest, AnyNumberOfThreadsGivesTheSameBits) {
  const Machine restore;
  std::vector<Result> results;
  for (int threads : {1, 2, 3, 5}) {
    at::set_num_threads(threads);
    results.push_back(RunAll(problem_));
    EXPECT_TRUE(results.back().y == results[0].y) << threads;
    EXPECT_TRUE(results.back().dx == results[0].dx) << threads;
    EXPECT_EQ(results.back().dweight, results[0].dweight) << threads;
  }
}

TEST_P(Conv2dTest, AccumulatingAddsToWhatIsThere) {
  const Result written = RunAll(problem_), added = RunAll(problem_, true);
  for (int64_t i = 0; i < problem_.weight.numel(); ++i) ASSERT_EQ(added.dweight[i], 99.0f + written.dweight[i]) << i;
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Conv2dTest, testing::Combine(testing::ValuesIn(kCases), testing::Values(DType::kFloat32, DType::kBFloat16)),
    [](const auto& info) {
      return std::string(std::get<0>(info.param).name) + std::string(DTypeName(std::get<1>(info.param)));
    });

TEST(Conv2dSamplesTest, ASampleDoesNotDependOnTheOthers) {
  Conv2dShape shape = {5, 7, 7, 16, 32, 3, 3, 2, 1};
  const Problem all(DType::kFloat32, shape);
  const Result whole = RunAll(all);
  const int64_t image = whole.y.numel() / 5;
  shape.samples = 1;
  Elements y(DType::kFloat32, image);
  Conv2d(DType::kFloat32, shape, static_cast<const float*>(all.x.data()) + 3 * all.x.numel() / 5, all.weight.data(),
         y.data());
  EXPECT_TRUE(
      SameBits(static_cast<const float*>(y.data()), static_cast<const float*>(whole.y.data()) + 3 * image, image));
}

TEST(Conv2dSamplesTest, NoSamplesGiveAGradientOfZeros) {
  const Problem none(DType::kFloat32, {0, 7, 7, 16, 32, 3, 3, 1, 1});
  for (float value : RunAll(none).dweight) ASSERT_EQ(value, 0.0f);
  for (float value : RunAll(none, true).dweight) ASSERT_EQ(value, 99.0f);
}

}  // namespace
}  // namespace stowage::kernels
