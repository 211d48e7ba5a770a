#include "trainer/data/open_data.h"
#include "trainer/data/samples/samples_test_files.h"

namespace stowage {
namespace {

class OpenSamplesTest : public SamplesTest {
 protected:
  absl::StatusOr<Data> Open() {
    return OpenData(config_, 8, 0, [](const std::string&) {});
  }
  std::string Images(const std::string& name, int count) {
    return Write(name, Idx({static_cast<uint32_t>(count), 2, 3}, Counting(6 * count)));
  }
  std::string Labels(const std::string& name, const std::string& labels) {
    return Write(name, Idx({static_cast<uint32_t>(labels.size())}, labels));
  }

  DataConfig config_;
};

TEST_F(OpenSamplesTest, BatchesOfImagesAreInputsAndClasses) {
  config_.format = "idx";
  config_.train = {Images("images", 4), Labels("labels", {0, 1, 2, 1})};
  config_.validation_fraction = 0;
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->validation, nullptr);
  EXPECT_EQ(data->train->size(), 4);
  auto batch = data->train->Read({{0, 3}, {5, 0}});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->samples, 2);
  EXPECT_EQ(batch->loss_terms, 2);
  const at::Tensor& inputs = batch->at("inputs");
  EXPECT_EQ(inputs.scalar_type(), at::kFloat);
  EXPECT_EQ(inputs.sizes(), (std::vector<int64_t>{2, 1, 2, 3}));
  EXPECT_EQ(inputs.const_data_ptr<float>()[0], 18 / 255.0f);
  EXPECT_EQ(inputs.const_data_ptr<float>()[6], 0.0f);
  const at::Tensor& targets = batch->at("targets");
  EXPECT_EQ(targets.scalar_type(), at::kLong);
  EXPECT_EQ(targets.sizes(), (std::vector<int64_t>{2}));
  EXPECT_EQ(targets.const_data_ptr<int64_t>()[0], 1);
}

TEST_F(OpenSamplesTest, NullMicroBatchesHaveTheSameTensors) {
  config_.train = {Write("a.csv", "x,y,z\n1,2,3\n4,5,6\n")};
  config_.targets = {"y", "z"};
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  auto batch = data->train->Read({});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->samples, 0);
  EXPECT_EQ(batch->loss_terms, 0);
  EXPECT_EQ(batch->at("inputs").sizes(), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(batch->at("targets").sizes(), (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(batch->at("targets").scalar_type(), at::kFloat);
}

TEST_F(OpenSamplesTest, SamplesOutsideTheSetAreRefused) {
  config_.train = {Write("a.csv", "x,y\n1,2\n")};
  config_.targets = {"y"};
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_TRUE(Says(data->train->Read({{0, 1}}).status(), {"sample 1", "1 samples"}));
}

TEST_F(OpenSamplesTest, AViewGivesTheSameElementsAnotherShape) {
  config_.train = {Images("t-ubyte", 4), Labels("l-ubyte", {0, 1, 2, 1})};
  config_.view = std::vector<int64_t>{3, 2};
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train->shape().input, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(data->train->Read({{0, 1}})->at("inputs").sizes(), (std::vector<int64_t>{1, 3, 2}));
  config_.view = std::vector<int64_t>{4, 2};
  EXPECT_TRUE(Says(Open().status(), {"data.view: [4, 2] has 8 elements", "[1, 2, 3] with 6"}));
}

TEST_F(OpenSamplesTest, TheEndIsSplitOffForValidation) {
  config_.train = {Write("a.csv", "x,y\n1,0\n2,0\n3,0\n4,0\n5,1\n6,0\n7,0\n8,0\n9,0\n10,1\n11,0\n")};
  config_.class_column = "y";
  config_.validation_fraction = 0.2;
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train->size(), 9);
  ASSERT_NE(data->validation, nullptr);
  EXPECT_EQ(data->validation->size(), 2);
  EXPECT_EQ(data->validation->shape().outputs, 2);
  auto batch = data->validation->Read({{0, 0}, {0, 1}});
  EXPECT_EQ(batch->at("inputs").const_data_ptr<float>()[0], 10.0f);
  EXPECT_EQ(batch->at("targets").const_data_ptr<int64_t>()[0], 1);
  EXPECT_NE(data->train->fingerprint(), data->validation->fingerprint());
  config_.validation_fraction = 0;
  EXPECT_EQ(Open()->validation, nullptr);
}

TEST_F(OpenSamplesTest, ValidationFilesMustBeLikeTheTrainingFiles) {
  config_.train = {Images("t-ubyte", 3), Labels("l-ubyte", {0, 1, 2})};
  config_.validation = {Images("v-ubyte", 2), Labels("vl-ubyte", {2, 0})};
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->validation->size(), 2);
  config_.validation = {Images("v-ubyte", 2), Labels("vl-ubyte", {3, 0})};
  EXPECT_TRUE(Says(Open().status(), {"vl-ubyte: label 3 at position 0", "0 to 2"}));
  config_.validation = {Write("v-ubyte", Idx({2, 3, 3}, Counting(18))), Labels("vl-ubyte", {1, 0})};
  EXPECT_TRUE(Says(Open().status(), {"[1, 2, 3]", "[1, 3, 3]", "must be alike"}));
  config_.validation = {Path("v-ubyte")};
  EXPECT_TRUE(Says(Open().status(), {"data.validation: names 1 file", "[images, labels]"}));
}

TEST_F(OpenSamplesTest, FashionMnistBringsItsOwnValidation) {
  config_.source = "fashion-mnist";
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train->size(), 60000);
  EXPECT_EQ(data->validation->size(), 10000);
  EXPECT_EQ(data->train->shape().input, (std::vector<int64_t>{1, 28, 28}));
  EXPECT_EQ(data->train->shape().outputs, 10);
}

TEST_F(OpenSamplesTest, KeysOfOtherKindsOfDataAreRefused) {
  config_.train = {Images("t-ubyte", 3), Labels("l-ubyte", {0, 1, 2})};
  config_.targets = {"a"};
  EXPECT_TRUE(Says(Open().status(), {"data.targets", "idx"}));
  config_.targets.clear();
  config_.train = {Write("a.txt", "text")};
  config_.view = std::vector<int64_t>{2, 2};
  EXPECT_TRUE(Says(Open().status(), {"data.view", "a.txt"}));
}

TEST_F(OpenSamplesTest, KindsOfFilesAreNotMixed) {
  config_.train = {Write("a.csv", "x,y\n1,2\n"), Write("b.txt", "text")};
  EXPECT_TRUE(Says(Open().status(), {"a.csv (csv)", "b.txt (text)"}));
  config_.train = {Path("a.csv"), Write("c.safetensors", "x")};
  EXPECT_TRUE(Says(Open().status(), {"a.csv is csv", "c.safetensors safetensors"}));
  config_.train = {WriteGzip("a.txt.gz", "text")};
  EXPECT_TRUE(Says(Open().status(), {"a.txt.gz: is compressed", "data.format: idx"}));
}

}  // namespace
}  // namespace stowage
