// LayerNorm and RMSNorm against the formulas in double.
#include <cmath>
#include <vector>

#include "kernels/element_test_util.h"
#include "kernels/layer_norm.h"
#include "kernels/rms_norm.h"

namespace stowage::kernels {
namespace {

constexpr float kEps = 1e-5f;

struct Reference {
  std::vector<double> y, dx, dweight, dbias;
};

// One problem: rows with a mean that is not small, and everything that both norms are given.
struct Problem {
  Problem(DType type, int64_t rows_, int64_t width_)
      : dtype(type),
        rows(rows_),
        width(width_),
        x(type, Scaled(TestValues(rows * width, 1), 2.0f, 1.5f)),
        dy(type, TestValues(rows * width, 2)),
        residual(type, TestValues(rows * width, 3)),
        weight(Scaled(TestValues(width, 4), 1.0f, 1.0f)),
        bias(TestValues(width, 5)) {}

  // `centre`: LayerNorm, else RMSNorm without a bias.
  Reference Compute(bool centre, bool with_residual) const {
    Reference ref{std::vector<double>(rows * width), std::vector<double>(rows * width), std::vector<double>(width),
                  std::vector<double>(width)};
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = r * width;
      double mean = 0.0, square = 0.0, g_mean = 0.0, gx_mean = 0.0;
      for (int64_t j = 0; j < width; ++j) mean += centre ? x[at + j] / static_cast<double>(width) : 0.0;
      for (int64_t j = 0; j < width; ++j) square += (x[at + j] - mean) * (x[at + j] - mean);
      const double rstd = 1.0 / std::sqrt(square / static_cast<double>(width) + kEps);
      for (int64_t j = 0; j < width; ++j) {
        const double xhat = (x[at + j] - mean) * rstd, g = dy[at + j] * static_cast<double>(weight[j]);
        g_mean += centre ? g / static_cast<double>(width) : 0.0;
        gx_mean += g * xhat / static_cast<double>(width);
        ref.y[at + j] = xhat * weight[j] + (centre ? bias[j] : 0.0);
        ref.dweight[j] += dy[at + j] * xhat;
        ref.dbias[j] += dy[at + j];
      }
      for (int64_t j = 0; j < width; ++j) {
        const double xhat = (x[at + j] - mean) * rstd;
        ref.dx[at + j] = rstd * (dy[at + j] * weight[j] - g_mean - xhat * gx_mean);
        if (with_residual) ref.dx[at + j] += residual[at + j];
      }
    }
    return ref;
  }

  const DType dtype;
  const int64_t rows, width;
  const Elements x, dy, residual;
  const std::vector<float> weight, bias;
};

struct Result {
  Result(const Problem& p) : y(p.dtype, p.rows * p.width), dx(y), dweight(p.width, 99.0f), dbias(p.width, 99.0f) {}
  Elements y, dx;
  std::vector<float> dweight, dbias;
};

Result RunLayerNorm(const Problem& p, bool with_residual, bool accumulate = false) {
  Result result(p);
  std::vector<float> mean(p.rows), rstd(p.rows), scratch(LayerNormScratchNumel(p.rows, p.width), std::nanf(""));
  LayerNorm(p.dtype, p.x.data(), p.weight.data(), p.bias.data(), p.rows, p.width, kEps, result.y.data(), mean.data(),
            rstd.data());
  LayerNormBackward(p.dtype, p.dy.data(), p.x.data(), p.weight.data(), mean.data(), rstd.data(),
                    with_residual ? p.residual.data() : nullptr, p.rows, p.width, result.dx.data(),
                    {result.dweight.data(), accumulate}, {result.dbias.data(), accumulate}, scratch.data());
  return result;
}

Result RunRmsNorm(const Problem& p, bool with_residual, bool accumulate = false) {
  Result result(p);
  std::vector<float> rstd(p.rows), scratch(RmsNormScratchNumel(p.rows, p.width), std::nanf(""));
  RmsNorm(p.dtype, p.x.data(), p.weight.data(), p.rows, p.width, kEps, result.y.data(), rstd.data());
  RmsNormBackward(p.dtype, p.dy.data(), p.x.data(), p.weight.data(), rstd.data(),
                  with_residual ? p.residual.data() : nullptr, p.rows, p.width, result.dx.data(),
                  {result.dweight.data(), accumulate}, scratch.data());
  return result;
}

testing::AssertionResult WeightNear(const std::vector<float>& actual, const std::vector<double>& expected,
                                    double error) {
  return Near(Elements(DType::kFloat32, actual), expected, error);
}

class RowNormTest : public testing::TestWithParam<DType> {};

// Tolerance: values and gradients of some units are made of sums over a row, whose error in fp32 is some 1e-7 of the
// largest term; a row of one or few elements that lie close together has a large rstd (up to 316), which scales it.
// A weight's gradient sums `rows` terms of that error.
void CheckAgainstDouble(DType dtype, bool centre) {
  for (int64_t width : {1, 7, 65, 768}) {
    for (int64_t rows : {0, 1, 33, 700}) {
      const Problem p(dtype, rows, width);
      const double error = width < 64 ? 3e-4 : 5e-6, sum_error = error * (1.0 + std::sqrt(static_cast<double>(rows)));
      for (bool with_residual : {false, true}) {
        const Reference ref = p.Compute(centre, with_residual);
        ForEachWidthAndThreadCount([&](const std::string& machine) {
          SCOPED_TRACE(machine + ", rows " + std::to_string(rows) + ", width " + std::to_string(width));
          const Result result = centre ? RunLayerNorm(p, with_residual) : RunRmsNorm(p, with_residual);
          EXPECT_TRUE(Near(result.y, ref.y, error));
          EXPECT_TRUE(Near(result.dx, ref.dx, error));
          EXPECT_TRUE(WeightNear(result.dweight, ref.dweight, sum_error));
          if (centre) {
            EXPECT_TRUE(WeightNear(result.dbias, ref.dbias, sum_error));
          }
        });
      }
    }
  }
}

TEST_P(RowNormTest, LayerNormIsTheFormulaInDoubleToRounding) { CheckAgainstDouble(GetParam(), true); }
TEST_P(RowNormTest, RmsNormIsTheFormulaInDoubleToRounding) { CheckAgainstDouble(GetParam(), false); }

TEST_P(RowNormTest, AnyNumberOfThreadsGivesTheSameBits) {
  const Problem p(GetParam(), 1000, 129);
  const Machine restore;
  std::vector<Result> layer, rms;
  for (int threads : {1, 2, 3, 5}) {
    at::set_num_threads(threads);
    layer.push_back(RunLayerNorm(p, true));
    rms.push_back(RunRmsNorm(p, true));
  }
  for (const std::vector<Result>* results : {&layer, &rms}) {
    for (const Result& result : *results) {
      EXPECT_TRUE(result.y == results->front().y);
      EXPECT_TRUE(result.dx == results->front().dx);
      EXPECT_EQ(result.dweight, results->front().dweight);
      EXPECT_EQ(result.dbias, results->front().dbias);
    }
  }
}

TEST_P(RowNormTest, AccumulatingAddsToWhatIsThere) {
  const Problem p(GetParam(), 100, 70);
  const Result written = RunLayerNorm(p, false), added = RunLayerNorm(p, false, true);
  const Result rms_written = RunRmsNorm(p, false), rms_added = RunRmsNorm(p, false, true);
  for (int64_t j = 0; j < p.width; ++j) {
    EXPECT_EQ(added.dweight[j], 99.0f + written.dweight[j]);
    EXPECT_EQ(added.dbias[j], 99.0f + written.dbias[j]);
    EXPECT_EQ(rms_added.dweight[j], 99.0f + rms_written.dweight[j]);
  }
}

TEST_P(RowNormTest, GradientsThatAreNotWantedMayBeNullAndDxMayReplaceDy) {
  const Problem p(GetParam(), 40, 70);
  const Result whole = RunLayerNorm(p, false);
  std::vector<float> mean(p.rows), rstd(p.rows), scratch(LayerNormScratchNumel(p.rows, p.width));
  Elements y(p.dtype, p.rows * p.width), gradient = p.dy;
  LayerNorm(p.dtype, p.x.data(), p.weight.data(), nullptr, p.rows, p.width, kEps, y.data(), mean.data(), rstd.data());
  LayerNormBackward(p.dtype, gradient.data(), p.x.data(), p.weight.data(), mean.data(), rstd.data(), nullptr, p.rows,
                    p.width, gradient.data(), {}, {}, scratch.data());
  EXPECT_TRUE(gradient == whole.dx);
  std::vector<double> without_bias = p.Compute(true, false).y;
  for (int64_t i = 0; i < p.rows * p.width; ++i) without_bias[i] -= p.bias[i % p.width];
  EXPECT_TRUE(Near(y, without_bias, 5e-6));
}

// The textbook form mean(x^2) - mean^2 has nothing left of a spread of 1 at a mean of 1e4 in fp32.
TEST(LayerNormTest, LargeMeanLeavesTheSpread) {
  const int64_t width = 512;
  std::vector<float> x(width), ones(width, 1.0f), y(width);
  for (int64_t j = 0; j < width; ++j) x[j] = 1e4f + (j % 2 == 0 ? 1.0f : -1.0f);
  float mean, rstd;
  LayerNorm(DType::kFloat32, x.data(), ones.data(), nullptr, 1, width, kEps, y.data(), &mean, &rstd);
  EXPECT_EQ(mean, 1e4f);
  for (int64_t j = 0; j < width; ++j) EXPECT_NEAR(y[j], j % 2 == 0 ? 1.0f : -1.0f, 1e-5f);
}

INSTANTIATE_TEST_SUITE_P(DTypes, RowNormTest, testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const auto& info) { return std::string(DTypeName(info.param)); });

}  // namespace
}  // namespace stowage::kernels
