"""What a host has of every batch: nothing is lost, nothing is taken twice."""

import itertools

import numpy as np
import pytest

from ats_mag.records.dataset import dataset
from ats_mag.records.shares import Share


@pytest.mark.parametrize("begin_batches", [0, 3])
@pytest.mark.parametrize("own", [1, 2])
@pytest.mark.parametrize("hosts", [1, 2, 3, 4])
def test_every_slide_comes_to_one_device_in_its_batch(hosts, own, begin_batches):
    for batch_size, rest in itertools.product(range(1, 7), range(6)):
        _divided(hosts, own, batch_size, begin_batches * batch_size, begin_batches * batch_size + 2 * batch_size + rest)


def _divided(hosts, own, batch_size, begin, end):
    shared = [Share(hosts * own, own * k, own).positions(begin, end, batch_size) for k in range(hosts)]
    counted = np.concatenate([s.position[s.counted == 1] for s in shared])
    assert sorted(counted) == list(range(begin, end))
    assert len({len(s.sizes) for s in shared}) == 1  # all take equally many steps
    for host in shared:
        np.testing.assert_array_equal(np.bincount(host.group, minlength=len(host.sizes)), host.sizes)
        assert (host.sizes > 0).all()
        assert (np.diff(host.group) >= 0).all()
        for position, group in zip(host.position, host.group, strict=True):
            assert (position - begin) // batch_size == group // own
        empty = host.counted == 0
        assert (host.sizes[host.group[empty]] == 1).all()  # no device mixes what counts with what does not


def test_shares_of_a_batch_differ_by_one_slide_at_most():
    sizes = [Share(4, k, 1).positions(0, 10, 10).sizes[0] for k in range(4)]
    assert sorted(sizes) == [2, 2, 3, 3]


def test_the_data_of_hosts_together_are_those_of_one(records, cohort):
    classes = ["a", "b", "c"]
    whole = list(dataset(records, cohort / "slides", classes, 4))
    parts = [list(dataset(records, cohort / "slides", classes, 4, share=Share(3, k, 1))) for k in range(3)]
    for step, (inputs, labels) in enumerate(whole):
        found = [host[step] for host in parts]
        keep = [view["counted"].numpy() == 1 for view, _ in found]
        np.testing.assert_array_equal(
            np.concatenate([y.numpy()[k] for (_, y), k in zip(found, keep, strict=True)]), labels
        )
        paths = [view["path"].numpy()[k] for (view, _), k in zip(found, keep, strict=True)]
        np.testing.assert_array_equal(np.concatenate(paths), inputs["path"])
        for view, _ in found:  # padded to the largest of what is here
            assert view["overview"].shape[1:3] == view["mask"].shape[1:]
    assert [host[1][0]["counted"].numpy().tolist() for host in parts] == [[0.0], [1.0], [1.0]]  # 2 slides on 3 devices


def test_shares_need_an_order_that_all_know(records, cohort):
    with pytest.raises(ValueError, match="give `order` instead of `shuffle`"):
        dataset(records, cohort / "slides", None, shuffle=True, share=Share(2, 0, 1))
