"""How models are given samples in tests that make batches by hand, without special tokens around texts."""

from tdbs.pipeline.tokens.rules import Layout, Template
from tdbs.train.models.inputs import InputRules

UNTYPED = InputRules(pad_id=0)
TYPED = InputRules(
    pad_id=0,
    layout=Layout(
        single=Template(special_ids=((), ()), special_types=((), ()), text_types=(0,)),
        pair=Template(special_ids=((), (), ()), special_types=((), (), ()), text_types=(0, 1)),
        cuts_at_spaces=False,
    ),
)
