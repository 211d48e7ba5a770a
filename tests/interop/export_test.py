"""What `stowage export` writes is what transformers loads, and what Stowage starts from again."""

import copy
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import folders  # noqa: E402

TEXT = "The quick brown fox: 42 % of naïve cafés, \t\n日本 \U0001f40e\x7f\x01."


class ExportTest(folders.InteropTest):
    TOKENS = list(b"the quick brown fox jump")
    STEPS = ["train.steps=20", "train.eval_sequences=4"]

    def exported(self, sets, *more):
        """A short run with these sizes, exported to `out`, loaded by transformers."""
        from transformers import AutoModelForCausalLM
        self.train("run", self.STEPS + list(sets))
        self.export("run", "out", *more)
        model, info = AutoModelForCausalLM.from_pretrained(self.path("out"), output_loading_info=True)
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            self.assertFalse(info[what], f"{what}: {info[what]}")
        return model

    def check_model(self, sets, name, *more):
        model = self.exported(sets, *more)
        self.assertEqual(type(model).__name__, name)
        self.assert_same_logits(self.our_logits("run", self.TOKENS), self.their_logits(model, self.TOKENS))
        return model

    def check_round_trip(self, folder="out", changed=()):
        """Out, in, out: the same weights. `changed`: parameters that the first run did not have."""
        self.start_from(folder, "again")
        ours, again = self.parameters("run"), self.parameters("again")
        self.assertEqual(set(again) - set(ours), set(changed))
        for name, data in ours.items():
            self.assertEqual(again[name], data, name)
        for name in changed:
            self.assertEqual(again[name], bytes(len(again[name])), name)
        self.export("again", "second")
        self.assertEqual(self.tensors("second"), self.tensors("out"))

    def tensors(self, folder):
        import glob
        from safetensors import safe_open
        found = {}
        for path in glob.glob(self.path(folder) + "/*.safetensors"):
            with safe_open(path, framework="numpy") as f:
                for name in f.keys():
                    tensor = f.get_tensor(name)
                    found[name] = (tensor.shape, tensor.tobytes())
        return found

    def test_gpt2_gives_the_same_logits_and_comes_back_unchanged(self):
        self.check_model(folders.GPT2, "GPT2LMHeadModel")
        self.check_round_trip()
        self.assert_same_logits(self.our_logits("out", self.TOKENS), self.our_logits("run", self.TOKENS))

    def test_gpt2_without_biases_and_with_a_free_head(self):
        self.check_model(["model.bias=false", "model.tie=false"], "GPT2LMHeadModel")
        self.check_round_trip(changed=self.biases())

    def biases(self):
        layers = [f"layer.{i}.{name}.bias" for i in range(2)
                  for name in ("attn.norm", "attn.qkv", "attn.out", "ffn.norm", "ffn.up", "ffn.down")]
        return layers + ["head.norm.bias"]

    def test_llama_gives_the_same_logits_and_comes_back_unchanged(self):
        model = self.check_model(folders.LLAMA + ["model.rope_theta=5000", "model.norm_eps=1e-6"], "LlamaForCausalLM")
        self.assertEqual(model.config.num_key_value_heads, 2)
        self.check_round_trip()

    def test_tied_llama_in_several_files(self):
        self.check_model(folders.LLAMA + ["model.tie=true"], "LlamaForCausalLM", "--shard-size", "16KiB")
        self.assertTrue(os.path.exists(self.path("out/model.safetensors.index.json")))
        self.check_round_trip()

    def test_the_tokenizer_gives_bytes_and_takes_them_back(self):
        from transformers import AutoTokenizer
        self.exported(folders.GPT2)
        tokenizer = AutoTokenizer.from_pretrained(self.path("out"))
        for text in (TEXT, " leading", "trailing \n", "", "<|endoftext|><s>\u0100"):
            ids = tokenizer(text)["input_ids"]
            self.assertEqual(ids, list(text.encode()))
            self.assertEqual(tokenizer.decode(ids), text)
        self.assertEqual([tokenizer.decode([i]) for i in range(128)], [chr(i) for i in range(128)])
        # Saved again by transformers it is still known.
        tokenizer.save_pretrained(self.path("out"))
        self.start_from("out", "again")

    def test_a_learned_tokenizer_goes_along(self):
        import sentencepiece
        from transformers import AutoTokenizer
        bpe = ["data.tokenizer=bpe", "data.tokenizer_vocabulary=300"]
        for kind, sets in (("gpt2", folders.GPT2), ("llama", folders.LLAMA)):
            with self.subTest(kind):
                self.train(kind, self.STEPS + sets + bpe)
                self.export(kind, kind + "-out")
                tokenizer = AutoTokenizer.from_pretrained(self.path(kind + "-out"))
                ours = sentencepiece.SentencePieceProcessor(model_file=self.checkpoints(kind)[-1] + "/tokenizer.model")
                for text in (TEXT, " leading", "two  spaces\n\n", "the quick brown fox jumps over a lazy dog"):
                    ids = tokenizer(text)["input_ids"]
                    self.assertEqual(ids, ours.encode(text))
                    self.assertEqual(tokenizer.decode(ids), text)
                # A run from the folder cuts its text in the same way, unasked; other tokens are refused.
                self.start_from(kind + "-out", kind + "-again")
                self.assertEqual(self.parameters(kind + "-again"), self.parameters(kind))
                done = self.start_from(kind + "-out", kind + "-bytes", ["data.tokenizer=bytes"],
                                       expect=folders.runs.EXIT_FAILURE)
                self.assert_one_clear_line(done, "sentencepiece model of its own", "tokenizer.model")
                said = [self.run_command([folders.runs.BINARY, "sample", self.path(folder), "--prompt", "the ",
                                          "--tokens", "9"]).stdout for folder in (kind, kind + "-out")]
                self.assertEqual(said[0], said[1])
                self.assertGreater(len(said[0]), 4)

    def test_transformers_generates_what_we_sample(self):
        import torch
        model = self.exported(folders.GPT2)
        with torch.no_grad():
            ids = model.generate(torch.tensor([list(b"the ")]), max_new_tokens=15, do_sample=False, pad_token_id=0)
        for folder in ("run", "out"):
            done = self.run_command([folders.runs.BINARY, "sample", self.path(folder), "--prompt", "the ", "--tokens",
                                     "15", "--temperature", "0"])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout, bytes(ids[0].tolist()).decode(errors="replace") + "\n")

    def test_weights_that_transformers_made_are_read(self):
        import torch
        from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
        torch.manual_seed(7)
        gpt2 = GPT2Config(n_layer=2, n_embd=32, n_head=4, n_positions=64, vocab_size=256, initializer_range=0.2,
                          bos_token_id=None, eos_token_id=0)
        llama = LlamaConfig(hidden_size=32, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                            num_key_value_heads=1, vocab_size=256, max_position_embeddings=64, initializer_range=0.2,
                            rms_norm_eps=1e-3, rope_parameters={"rope_type": "default", "rope_theta": 300.0},
                            bos_token_id=None, eos_token_id=0)
        for name, model in (("gpt2", GPT2LMHeadModel(gpt2)), ("llama", LlamaForCausalLM(llama))):
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                with self.subTest(f"{name} {dtype}"):
                    folder = f"{name}-{str(dtype)[6:]}"
                    copy.deepcopy(model).to(dtype).save_pretrained(self.path(folder), max_shard_size="40KB")
                    self.start_from(folder, folder + "-run", ["model.context=40"])
                    # Read again in fp32: a model that was cast holds its rotary frequencies in the other type too.
                    theirs = type(model).from_pretrained(self.path(folder), dtype=torch.float32)
                    self.assert_same_logits(self.our_logits(folder + "-run", self.TOKENS),
                                            self.their_logits(theirs, self.TOKENS))

    def test_two_ranks_start_from_the_same_weights(self):
        self.exported(folders.LLAMA)
        self.start_from("out", "one")
        config = self.path("from.yaml")
        self.train("two", config=config, ranks=2)
        self.assertEqual(self.parameters("one"), self.parameters("two"))

    def test_a_run_goes_on_when_its_folder_is_gone(self):
        import shutil
        self.exported(folders.GPT2)
        self.start_from("out", "again")
        shutil.rmtree(self.path("out"))
        done = self.run_command([folders.runs.BINARY, "eval", self.path("again")])
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
