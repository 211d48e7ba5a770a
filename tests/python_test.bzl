"""Python tests that run in the environment of tools/setup --tests: PyTorch, NumPy, safetensors, TensorBoard, pytest."""

def python_test(name, srcs, data = [], tags = [], program = True, **kwargs):
    """A test of unittest or pytest; every test function counts as a case of its own.

    In the test, STOWAGE_BINARY is the path of the program, built in the same configuration (if `program`); the working
    folder is the root of the runfiles, so that `configs/baby_gpt.yaml` among `data` is found by that path. A test file
    can import modules that lie beside it and are in `data`.

    Args:
      name: of the target.
      srcs: x_test.py files of the package.
      data: what the test reads, helper modules included.
      tags: "long" for what tools/test --long runs; "exclusive" where a test needs all cores; "no-sanitizer" where it
        would tell nothing new under sanitizers.
      program: whether the test runs the program.
      **kwargs: for sh_test (size, timeout, ...).
    """
    native.sh_test(
        name = name,
        srcs = ["//tests:run_python.sh"],
        args = ["$(rootpath %s)" % src for src in srcs],
        data = srcs + data + (["//tools/stowage:stowage"] if program else []),
        tags = tags,
        **kwargs
    )
