"""A verdict that rests on the clinic, which has looked at a whole loop, names no single step."""

from __future__ import annotations

import torch
from torch import nn

from course import clinic
from course.exercises import ALL
from course.grading import judge


def test_finding_of_the_clinic_is_seen_in_the_case_and_not_at_a_step():
    def answer(x, y, steps):
        model = nn.Linear(1, 1)
        with torch.no_grad():
            model.weight.fill_(0.3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        with clinic.watch(model, optimizer) as exam:
            for step in range(steps):
                if step % 4 == 0:
                    optimizer.zero_grad()
                nn.functional.mse_loss(model(x), y).backward()
                optimizer.step()
        return model, exam

    text = " ".join(str(judge(ALL["patient_a"], answer)).split())
    assert "clinic still finds" in text
    assert "(seen in the case below)" in text
