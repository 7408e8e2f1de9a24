import random

import numpy as np
import torch

from kantor.integrations.random_state import random_states, restore_random_state


def test_random_numbers_go_on_where_they_stood_from_what_any_checkpoint_holds(tmp_path):
    def drawn() -> list[float]:
        return [
            random.random(),
            random.gauss(0, 1),
            float(np.random.rand()),
            float(np.random.randn()),
            float(torch.rand(())),
        ]

    random.gauss(0, 1)
    np.random.randn()  # both keep a second number back
    torch.save(random_states(), tmp_path / "state.pt")
    expected = drawn()
    drawn()
    restore_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert drawn() == expected


def test_states_of_another_number_of_processes_change_nothing():
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    restore_random_state(random_states() * 2)
    assert torch.equal(torch.rand(()), expected)
