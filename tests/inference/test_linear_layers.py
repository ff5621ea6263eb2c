"""Linear layers stored in bf16 for predicting compute what torch does with weights rounded to bf16."""

import pytest
import torch

from tdbs.inference.linear_layers import store_in_bf16


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("tokens", [1, 13, 64, 200])
def test_a_stored_layer_is_torchs_own_product_in_bf16(tokens, has_bias):
    torch.manual_seed(tokens)
    model = torch.nn.Sequential(torch.nn.Linear(48, 96, bias=has_bias))
    inputs_BLD = torch.randn(2, tokens, 48)
    with torch.inference_mode():
        weight, bias = model[0].weight.bfloat16(), model[0].bias.bfloat16() if has_bias else None
        expected_BLE = torch.nn.functional.linear(inputs_BLD.bfloat16(), weight, bias)
        store_in_bf16(model, "cpu")
        with torch.autocast("cpu", torch.bfloat16):
            found_BLE = model(inputs_BLD)
    assert found_BLE.dtype == torch.bfloat16
    torch.testing.assert_close(found_BLE, expected_BLE, atol=2e-2, rtol=2e-2)


def test_a_head_in_fp32_and_other_devices_keep_their_own_forward():
    head, elsewhere = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
    head.forward = plain = head.forward
    store_in_bf16(torch.nn.Sequential(head), "cpu")
    store_in_bf16(torch.nn.Sequential(elsewhere), "cuda")
    assert head.forward is plain
    assert head.weight.dtype == torch.float32
    assert "forward" not in vars(elsewhere)
    assert elsewhere.weight.dtype == torch.bfloat16
