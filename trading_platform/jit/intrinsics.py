"""What a kernel may do beyond numba's Python: arrays over plain memory, words held in registers, calls by address.

Imported only when a kernel is compiled (it imports numba); named to kernels by jit/native.py. Nothing is checked:
the caller owns the memory and the addresses are those of compiled `Native` kernels.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FLOATS = types.Array(types.float64, 1, "C")
WORDS = types.CPointer(types.float64)
ADDRESSES = types.CPointer(types.int64)
_F8, _I8 = ir.DoubleType(), ir.IntType(64)


def _array(context: Any, builder: Any, data: Any, count: Any) -> Any:
    """Return an array struct over memory that nobody counts references of."""
    made = context.make_array(FLOATS)(context, builder)
    context.populate_array(
        made,
        data=data,
        shape=cgutils.pack_array(builder, [count]),
        strides=cgutils.pack_array(builder, [ir.Constant(_I8, 8)]),
        itemsize=ir.Constant(_I8, 8),
        meminfo=None,
    )
    return made._getvalue()


@intrinsic
def registers(typingctx: Any, words: Any, count: Any) -> Any:  # noqa: ARG001  numba's shape
    """Copy `count` words, a literal, into an array that the compiler holds in registers."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    size = int(count.literal_value)

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        slot = cgutils.alloca_once(builder, ir.ArrayType(_F8, max(size, 1)))
        own = builder.bitcast(slot, ir.PointerType(_F8))
        for k in range(size):
            at = ir.Constant(_I8, k)
            builder.store(builder.load(builder.gep(args[0], [at])), builder.gep(own, [at]))
        return _array(context, builder, own, ir.Constant(_I8, size))

    return FLOATS(words, count), codegen


@intrinsic
def put_back(typingctx: Any, own: Any, words: Any, count: Any) -> Any:  # noqa: ARG001
    """Copy the `count` words of `registers` back to where they came from."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    size = int(count.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, args[0])
        for k in range(size):
            at = ir.Constant(_I8, k)
            builder.store(builder.load(builder.gep(source.data, [at])), builder.gep(args[1], [at]))
        return context.get_dummy_value()

    return types.void(own, words, count), codegen


@intrinsic
def view(typingctx: Any, words: Any, count: Any) -> Any:  # noqa: ARG001
    """Return memory as an array of `count` numbers."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _array(context, builder, args[0], args[1])

    return FLOATS(words, types.int64), codegen


@intrinsic
def column(typingctx: Any, addresses: Any, k: Any, count: Any) -> Any:  # noqa: ARG001
    """Return the memory at `addresses[k]` as an array of `count` numbers."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address = builder.load(builder.gep(args[0], [args[1]]))
        return _array(context, builder, builder.inttoptr(address, ir.PointerType(_F8)), args[2])

    return FLOATS(addresses, types.int64, types.int64), codegen


@intrinsic
def fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001
    """Return a · b + c rounded once: one instruction where the processor has it, else a call that gives the same."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@intrinsic
def address(typingctx: Any, array: Any) -> Any:  # noqa: ARG001
    """Return where an array's numbers are. The caller keeps the array."""
    if not isinstance(array, types.Array):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(data, _I8)

    return types.int64(array), codegen


@intrinsic
def call(typingctx: Any, function: Any, state: Any, window: Any, constants: Any, columns: Any, rows: Any) -> Any:  # noqa: ARG001
    """Call the `Native` kernel at the address `function`; the other arguments are addresses too, and a count."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        floats, integers = ir.PointerType(_F8), ir.PointerType(_I8)
        kind = ir.FunctionType(ir.VoidType(), [floats, floats, floats, integers, _I8])
        target = builder.inttoptr(args[0], ir.PointerType(kind))
        kinds = [floats, floats, floats, integers]
        pointers = [builder.inttoptr(a, k) for a, k in zip(args[1:5], kinds, strict=True)]
        builder.call(target, [*pointers, args[5]])
        return _context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen
