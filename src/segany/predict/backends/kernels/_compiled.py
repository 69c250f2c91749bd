"""From the kernels' intermediate representation to machine code: compiled once, kept on disk, called through ctypes."""

import ctypes
import hashlib
import importlib.util
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import SeganyError
from segany.files import write_bytes

__all__ = ["Kernels", "are_supported", "load_kernels"]

_NAMES = ("read", "first_update", "second_update", "sample", "draw")
_FEATURES = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512bf16")
_DIGEST_BYTES = 32


@lru_cache(maxsize=1)
def are_supported() -> bool:
    """Whether this CPU has the instructions that the kernels are made of, and the compiler is installed."""
    if importlib.util.find_spec("llvmlite") is None:
        return False
    try:
        import llvmlite.binding as llvm

        features = llvm.get_host_cpu_features()
    except (ImportError, OSError, RuntimeError):
        return False
    return all(features.get(name, False) for name in _FEATURES)


class Kernels:
    """The functions. They release the interpreter's lock; arrays must be contiguous, and live until the call ends."""

    def __init__(self, code: bytes) -> None:
        """Take machine code as `_compile` makes it, into memory."""
        import llvmlite.binding as llvm

        # The engine owns the code: it lives as long as this object.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        prototype = ctypes.CFUNCTYPE(None)
        self._functions = {name: prototype(self._engine.get_function_address(name)) for name in _NAMES}

    def call(self, name: str, *arguments: "NDArray[Any] | int") -> None:
        """Call one: arrays by address, integers as 64 bits."""
        given = [
            ctypes.c_void_p(one.ctypes.data) if isinstance(one, np.ndarray) else ctypes.c_int64(one)
            for one in arguments
        ]
        self._functions[name](*given)


def load_kernels(folder: Path) -> Kernels:
    """Find the compiled kernels, or compile and keep them.

    A file that is not what was written is compiled anew; a folder that cannot be written costs seconds at each start.

    Args:
        folder: Where compiled kernels are kept.
    """
    file = folder / f"kernels-{_key()}.bin"
    if (code := _read(file)) is None:
        code = _compile()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(file, hashlib.sha256(code).digest() + code)
        except (OSError, SeganyError) as error:
            message = f"compiled kernels are not kept, so that each start compiles them again: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
    return Kernels(code)


def _read(file: Path) -> bytes | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    code = data[_DIGEST_BYTES:]
    return code if code and hashlib.sha256(code).digest() == data[:_DIGEST_BYTES] else None


def _key() -> str:
    """A digest of all that the machine code depends on: the kernels, the compiler, the CPU."""
    import llvmlite
    import llvmlite.binding as llvm

    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    parts = [llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    return hashlib.sha256(sources + "|".join(parts).encode()).hexdigest()[:32]


def _machine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)


def _compile() -> bytes:
    import llvmlite.binding as llvm
    import llvmlite.ir as ir

    from segany.predict.backends.kernels._attention import add_passes
    from segany.predict.backends.kernels._drawing import add_drawing

    module = ir.Module("kernels")
    add_passes(module)
    add_drawing(module)
    machine = _machine()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(parsed, builder)
    code: bytes = machine.emit_object(parsed)
    return code
