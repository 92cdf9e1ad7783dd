"""Fast products are the same products, and buffers that come back are used again."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from rnngen.cells.matmul import _for_few_rows, fastest_float32, lay_out, onednn_float32_is_exact
from rnngen.cells.packing import Workspaces


def test_float32_products_are_float32():
    a, b = torch.randn(40, 300), torch.randn(300, 50)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with fastest_float32():
        error = (torch.mm(a, b).double() - a.double() @ b.double()).abs().max()
    assert error < 1e-3  # rounded to bfloat16 it would be near 0.2
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_the_switch_stays_off_where_it_would_round():
    if torch.cpu._is_amx_tile_supported():
        assert not onednn_float32_is_exact()


def test_the_switch_is_set_back_after_an_error(monkeypatch):
    monkeypatch.setattr("rnngen.cells.matmul.onednn_float32_is_exact", lambda: True)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(ZeroDivisionError), fastest_float32():
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        _ = 1 / 0
    assert torch.backends.mkldnn.matmul.fp32_precision == before


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("packing", [True, False])
def test_a_repeated_product_for_any_number_of_rows(dtype, packing, monkeypatch):
    if not packing:
        monkeypatch.setattr("rnngen.cells.matmul._pack", lambda *_: None)
    weight, x = torch.randn(24, 17).to(dtype), torch.randn(8, 40).to(dtype)[:, 5:22]
    run = lay_out(weight, 8)
    for rows in (8, 5, 1):
        torch.testing.assert_close(run(x[:rows]), x[:rows] @ weight.t(), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize(("outputs", "inputs"), [(64, 32), (24, 17), (130, 1), (457, 460)])
def test_a_bfloat16_product_of_few_rows(outputs, inputs, few, monkeypatch):
    """Against float64 of the same operands, rounded once; a row is the same alone and in company."""
    if few and _for_few_rows() is None:
        pytest.skip("no C compiler, or no bfloat16 in the processor's AVX-512")
    monkeypatch.setattr("rnngen.cells.matmul.FEW_ROWS", 4 if few else 0)
    torch.manual_seed(0)
    weight, x = torch.randn(outputs, inputs).bfloat16(), torch.randn(4, inputs + 9).bfloat16()[:, 5 : inputs + 5]
    run = lay_out(weight, 4)
    whole = run(x).clone()
    expected = x.double() @ weight.double().t()
    torch.testing.assert_close(whole.double(), expected, rtol=2**-8, atol=1e-5)
    for rows in (1, 2, 3):
        found = run(x[:rows]).clone()
        torch.testing.assert_close(found.double(), expected[:rows], rtol=2**-8, atol=1e-5)
        assert not few or torch.equal(found, whole[:rows])
    assert not few or run(x[2:4].t().contiguous().t()).equal(whole[2:4])  # rows that do not lie together


CPU = torch.device("cpu")
LARGE = Workspaces.SMALLEST // 4
"""Numbers in float32 that make a buffer large enough to be kept."""


def test_workspaces_are_used_again_and_never_shared():
    spaces = Workspaces()
    a, b = (spaces.take((LARGE, 4), torch.float32, CPU) for _ in range(2))
    assert a.data_ptr() != b.data_ptr() and a.shape == (LARGE, 4)
    address, part = a.data_ptr(), a[3:, 1]
    del a
    c = spaces.take((LARGE, 4), torch.float32, CPU)
    assert c.data_ptr() != address  # a part of it is still in use
    del part
    smaller = spaces.take((LARGE, 1), torch.float64, CPU)
    assert smaller.data_ptr() == address and smaller.dtype == torch.float64
    assert spaces.take((LARGE, 4), torch.float32, CPU).data_ptr() not in (address, b.data_ptr(), c.data_ptr())


def test_no_more_workspaces_are_kept_than_were_used_at_once():
    spaces = Workspaces()
    for size in (1, 10, 2, 50, 1, 100):
        a, b = (spaces.take((size, LARGE), torch.float32, CPU) for _ in range(2))
        del a, b
    assert [len(block) for block in spaces._free] == [400 * LARGE] * 2


def test_small_workspaces_are_not_kept():
    spaces = Workspaces()
    spaces.take((LARGE - 1,), torch.float32, CPU)
    assert not spaces._free


def test_workspaces_from_several_threads():
    spaces, seen = Workspaces(), []

    def work(number):
        for _ in range(300):
            space = spaces.take((LARGE,), torch.float32, CPU).fill_(number)
            seen.append(bool((space == number).all()))
            del space

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1200 and all(seen)
    assert len(spaces._free) <= 4


@pytest.mark.parametrize("name", ["ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"])
@pytest.mark.parametrize(("given", "used"), [(None, "128"), ("7", "7")])
def test_programs_for_few_shapes_are_kept_unless_the_environment_says_otherwise(name, given, used):
    environment = {key: value for key, value in os.environ.items() if key != name}
    environment |= {} if given is None else {name: given}
    # what oneDNN reads is the C library's environment, not Python's picture of it
    program = (
        "import ctypes, rnngen.networks.prediction_network; "
        "get = ctypes.CDLL(None).getenv; get.restype = ctypes.c_char_p; "
        f"print(get({name.encode()}).decode())"
    )
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == used


def test_programs_kept_follow_the_minibatch_unless_the_environment_says_otherwise():
    program = (
        "import os; from rnngen.cells.matmul import keep_programs_for; keep_programs_for(4); "
        "print(os.environ['LRU_CACHE_CAPACITY'], os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "LRU_CACHE_CAPACITY"}
    environment["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "7"
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["40", "7"]
