"""A Hugging Face folder that is not what it says is refused in one line that names what is wrong."""

import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import folders  # noqa: E402
from folders import runs  # noqa: E402


class BadFolderTest(folders.InteropTest):
    def setUp(self):
        super().setUp()
        self.train("run", ["train.steps=1", "train.eval_sequences=1"])
        self.export("run", "out")

    def refused(self, *parts, sets=()):
        code = runs.EXIT_USAGE if parts[0] == "config" else runs.EXIT_FAILURE
        done = self.start_from("out", "again", sets, expect=code)
        self.assert_one_clear_line(done, *parts[1:])
        # What is wrong with the folder is known before a run is started in earnest.
        self.assertFalse(os.path.exists(self.path("again/metrics.jsonl")))

    def rewrite(self, change):
        """The weights again, as `change` leaves them."""
        from safetensors.numpy import load_file, save_file
        tensors = load_file(self.path("out/model.safetensors"))
        change(tensors)
        save_file(tensors, self.path("out/model.safetensors"))

    def test_missing_tensor(self):
        self.rewrite(lambda tensors: tensors.pop("transformer.h.1.mlp.c_fc.weight"))
        self.refused("weights", "model.init_from", "out", "no tensor transformer.h.1.mlp.c_fc.weight", "[32, 128]")

    def test_wrong_shape(self):
        import numpy as np
        self.rewrite(lambda tensors: tensors.update({"transformer.ln_f.weight": np.ones(33, np.float32)}))
        self.refused("weights", "transformer.ln_f.weight is [33]", "[32]")

    def test_a_tensor_without_a_place(self):
        import numpy as np
        self.rewrite(lambda tensors: tensors.update({"transformer.h.9.ln_1.weight": np.ones(32, np.float32)}))
        self.refused("weights", "transformer.h.9.ln_1.weight", "no place")

    def test_unknown_architecture(self):
        self.change_json("out/config.json", lambda c: c.update(architectures=["MambaForCausalLM"], model_type="mamba"))
        self.refused("config", "from.yaml:3", "model.init_from", "MambaForCausalLM", "GPT2LMHeadModel", "Llama")

    def test_a_config_that_is_no_json(self):
        self.write("out/config.json", "{\"model_type\": gpt2}")
        self.refused("config", "config.json", "not JSON")

    def test_a_config_that_lacks_a_size(self):
        self.change_json("out/config.json", lambda c: c.pop("n_head"))
        self.refused("config", "config.json", "no n_head")

    def test_no_folder(self):
        os.rename(self.path("out"), self.path("moved"))
        self.refused("config", "from.yaml:3", "model.init_from", "config.json")

    def test_a_header_that_lies_about_its_size(self):
        with open(self.path("out/model.safetensors"), "r+b") as f:
            f.write(struct.pack("<Q", 2**60))
        self.refused("weights", "model.safetensors", "header claims")

    def test_a_file_cut_short(self):
        os.truncate(self.path("out/model.safetensors"), 50000)
        self.refused("weights", "model.safetensors", "not a whole safetensors file")

    def test_an_index_that_names_a_missing_file(self):
        self.export("run", "many", "--shard-size", "40KiB")
        os.rename(self.path("out"), self.path("single"))
        os.rename(self.path("many"), self.path("out"))
        os.remove(self.path("out/model-00002-of-00004.safetensors"))
        self.refused("weights", "index.json", "model-00002-of-00004.safetensors")

    def test_a_key_that_contradicts_the_folder(self):
        self.refused("config", "--set model.width=64", "n_embd", "32", sets=["model.width=64"])
        self.refused("config", "model.context: 48", "n_positions", "24", "or give less", sets=["model.context=48"])
        self.refused("config", "--set model.kind=llama", "gpt2", sets=["model.kind=llama"])

    def test_text_for_a_tokenizer_that_is_not_read(self):
        self.write("out/tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}')
        self.refused("weights", "does not read", "token shards", "llmc")

    def test_raw_tokens_are_taken_as_the_folders(self):
        self.write("out/tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}')
        with open(self.path("tokens.bin"), "wb") as f:
            f.write(struct.pack("<1000H", *[i % 200 for i in range(1000)]))
        done = self.start_from("out", "shards", [f"data.train=[{self.path('tokens.bin')}]", "data.validation=[]",
                                                 "data.format=nanogpt"])
        self.assertEqual(done.returncode, 0)

    def test_a_folder_has_no_data_to_measure_on(self):
        done = self.run_command([runs.BINARY, "eval", self.path("out")])
        self.assertEqual(done.returncode, runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "names no data")

    def test_an_existing_folder_is_not_written_over(self):
        before = sorted(os.listdir(self.path("out")))
        done = self.export("run", "out", expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "out", "give a new folder")
        self.assertEqual(sorted(os.listdir(self.path("out"))), before)
        self.assertEqual([name for name in os.listdir(self.dir) if "partial" in name], [])


if __name__ == "__main__":
    unittest.main()
