"""Products of one row with a matrix, through the BLAS's product of a matrix and a vector.

Making a text token by token multiplies one row with each matrix of the network: no weight is used
twice, so the time is that of reading the weights. MLX asks `cblas_sgemm` for it, which first copies
the matrix into blocks for products of many rows, and so reaches a third of the memory's speed;
`cblas_sgemv` reads the matrix once. On other processors OpenBLAS hands such products on by itself,
not on x86-64 (0.3.34). Here a hundred bytes of machine code do it: called in the place of
`cblas_sgemm`, they look at the shape and go on to one of the two.

They are called by MLX's threads, which hold no lock of Python's, so they cannot be Python; and a
compiler need not be there.
"""

from __future__ import annotations

import ctypes
import mmap
import platform

_ONE_ROW_OR_GENERAL = (
    # cblas_sgemm(order, trans a, trans b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) has its
    # arguments in edi, esi, edx, ecx, r8d, r9d, xmm0, [rsp+8], +16, +24, +32, xmm1, +40, +48.
    "83f901"  # cmp ecx, 1             not one row: general
    "755d"  # jne general
    "83ff65"  # cmp edi, 101           by rows
    "7558"  # jne general
    "83fe6f"  # cmp esi, 111           the row as it lies
    "7553"  # jne general
    "4c8b542408"  # mov r10, [rsp+8]        x = a
    "4c8b5c2428"  # mov r11, [rsp+40]       y = c
    "83fa70"  # cmp edx, 112
    "7412"  # je crosswise
    "83fa6f"  # cmp edx, 111
    "753f"  # jne general
    "be70000000"  # mov esi, 112            b is [k, n]: y = b^T x
    "4489ca"  # mov edx, r9d
    "4489c1"  # mov ecx, r8d
    "eb0b"  # jmp both
    "be6f000000"  # crosswise: mov esi, 111  b is [n, k]: y = b x
    "4489c2"  # mov edx, r8d
    "4489c9"  # mov ecx, r9d
    "4c8b442418"  # both: mov r8, [rsp+24]  b
    "448b4c2420"  # mov r9d, [rsp+32]       its leading dimension
    "4883ec08"  # sub rsp, 8              the stack is aligned to 16 bytes at a call
    "6a01"  # push 1                  distance of y's elements
    "4153"  # push r11
    "6a01"  # push 1                  distance of x's elements
    "4152"  # push r10
    # cblas_sgemv(order, trans, m, n, alpha, b, ldb, x, 1, beta, y, 1)
    "48b8{gemv}"  # mov rax, cblas_sgemv
    "ffd0"  # call rax
    "4883c428"  # add rsp, 40
    "c3"  # ret
    "48b8{gemm}"  # general: mov rax, cblas_sgemm
    "ffe0"  # jmp rax
)

_pages: list[mmap.mmap] = []


def one_row_forwarder(gemm: int, gemv: int) -> int | None:
    """Return the address of a `cblas_sgemm` that hands one-row products on to `cblas_sgemv`.

    Args:
        gemm: address of the `cblas_sgemm` for all others, with arguments of 32 bits.
        gemv: address of the `cblas_sgemv`.

    Returns:
        None where there is none: not an x86-64 Linux, or one that runs no code made at run time.
    """
    if platform.machine() != "x86_64":
        return None
    code = _ONE_ROW_OR_GENERAL.format(
        gemv=gemv.to_bytes(8, "little").hex(), gemm=gemm.to_bytes(8, "little").hex()
    )
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError:
        return None
    page.write(bytes.fromhex(code))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    # Never writable and executable at once.
    if protect(address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC):
        return None
    _pages.append(page)  # For as long as the process lasts: MLX may be calling it.
    return address
