"""The published Python client of Centrifugo's server API (`cent`) drives a cluster of three workers."""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from functools import partial

import cent
import pytest

from ..cluster.harness import RunningCluster
from ..cluster.sdk import SECRET, Person, Told, people
from ..waiting import PATIENCE, until
from .support import KEY

_rooms = (f"room{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with RunningCluster("tests.conformance.app:app", workers=3, token_hmac_secret=SECRET, api_key=KEY) as cluster:
        yield cluster


@pytest.fixture
def room() -> str:
    """A channel of one's own."""
    return next(_rooms)


@pytest.fixture
async def api(cluster: RunningCluster) -> AsyncIterator[cent.AsyncClient]:
    """Through nginx: any worker may answer."""
    async with cent.AsyncClient(f"{cluster.url}/api", KEY, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
async def everyone(cluster: RunningCluster) -> AsyncIterator[list[Person]]:
    """Ann on the first worker, bob on the second, ann again on the third."""
    ports = [cluster.worker_port(pid) for pid in cluster.worker_pids()]
    users = [(port or 0, user) for port, user in zip(ports, ("ann", "bob", "ann"), strict=True)]
    async with people(*users) as found:
        yield found


async def until_told(what: Told, *everyone: Person) -> None:
    for person in everyone:
        await until(partial(person.told.__contains__, what), f"{person.user} is told {what}")


async def test_what_is_published_reaches_clients_of_every_worker(
    api: cent.AsyncClient, everyone: list[Person], room: str
) -> None:
    for person in everyone:
        await person.subscribe(room)
    published = await api.publish(cent.PublishRequest(channel=room, data={"a": 1}))
    await until_told(("published", room, {"a": 1}), *everyone)
    history = await api.history(cent.HistoryRequest(channel=room, limit=10))
    assert (history.offset, history.epoch) == (published.offset, published.epoch)
    assert [publication.data for publication in history.publications] == [{"a": 1}]


async def test_a_retry_with_the_same_key_is_not_published_twice(api: cent.AsyncClient, room: str) -> None:
    request = cent.PublishRequest(channel=room, data=1, idempotency_key="once", tags={"a": "b"})
    places = [await api.publish(request) for _ in range(6)]
    assert len({place.offset for place in places}) == 1
    history = await api.history(cent.HistoryRequest(channel=room, limit=10))
    assert [publication.tags for publication in history.publications] == [{"a": "b"}]


async def test_a_broadcast_reaches_all_its_channels(api: cent.AsyncClient) -> None:
    rooms = [next(_rooms) for _ in range(3)]
    result = await api.broadcast(cent.BroadcastRequest(channels=[*rooms, "/own"], data=1))
    assert [response.error is None for response in result.responses] == [True, True, True, False]


async def test_history_is_removed_for_all_workers(api: cent.AsyncClient, room: str) -> None:
    await api.broadcast(cent.BroadcastRequest(channels=[room], data=None, b64data=b64encode(b"1").decode()))
    await api.history_remove(cent.HistoryRemoveRequest(channel=room))
    for _ in range(6):
        history = await api.history(cent.HistoryRequest(channel=room, limit=10))
        assert (history.publications, history.offset) == ([], 1)


async def test_presence_is_known_to_every_worker_right_after_a_subscription(
    api: cent.AsyncClient, everyone: list[Person], room: str
) -> None:
    for count, person in enumerate(everyone, 1):
        await person.subscribe(room)
        for _ in range(6):
            stats = await api.presence_stats(cent.PresenceStatsRequest(channel=room))
            assert (stats.num_clients, stats.num_users) == (count, min(count, 2))
    presence = (await api.presence(cent.PresenceRequest(channel=room))).presence
    assert {client: info.user for client, info in presence.items()} == {
        person.client_id: person.user for person in everyone
    }


async def test_a_user_is_disconnected_on_whatever_worker_she_is(api: cent.AsyncClient, everyone: list[Person]) -> None:
    ann, bob, again = everyone
    why = cent.Disconnect(code=4500, reason="that is enough")
    await api.disconnect(cent.DisconnectRequest(user="ann", disconnect=why))
    await until_told(("disconnected", why.reason, why.code), ann, again)
    assert all(told[0] != "disconnected" for told in bob.told)


async def test_one_client_of_a_user_is_disconnected(api: cent.AsyncClient, everyone: list[Person]) -> None:
    ann, _, again = everyone
    await api.disconnect(cent.DisconnectRequest(user="ann", client=again.client_id))
    await until_told(("disconnected", "force disconnect", 3503), again)
    await ann.present("#ann")
    assert all(told[0] != "disconnected" for told in ann.told)


async def test_a_user_is_subscribed_and_unsubscribed_by_the_server(
    api: cent.AsyncClient, everyone: list[Person], room: str
) -> None:
    ann, bob, again = everyone
    await api.subscribe(cent.SubscribeRequest(user="ann", channel=room, data={"why": "because"}, info={"a": 1}))
    await until_told(("subscribed by the server", room, {"why": "because"}), ann, again)
    presence = (await api.presence(cent.PresenceRequest(channel=room))).presence
    assert {client: info.chan_info for client, info in presence.items()} == {
        ann.client_id: {"a": 1},
        again.client_id: {"a": 1},
    }
    await api.unsubscribe(cent.UnsubscribeRequest(user="ann", channel=room))
    await until_told(("unsubscribed by the server", room, None), ann, again)

    async def nobody_is_there() -> bool:
        return not (await api.presence(cent.PresenceRequest(channel=room))).presence

    await until(nobody_is_there, "nobody is there any more")
    assert not [told for told in bob.told if told[1] == room]


async def test_channels_and_clients_of_all_workers_are_counted(
    api: cent.AsyncClient, everyone: list[Person], cluster: RunningCluster, room: str
) -> None:
    for person in everyone:
        await person.subscribe(room)
    for _ in range(6):
        channels = (await api.channels(cent.ChannelsRequest(pattern=f"{room}*"))).channels
        assert {name: channel.num_clients for name, channel in channels.items()} == {room: 3}
        nodes = (await api.info(cent.InfoRequest())).nodes
        assert len(nodes) == cluster.workers
        assert [(node.num_clients, node.num_users) for node in nodes] == [(1, 1)] * 3
        assert sum(node.num_subs for node in nodes) == 6  # and each has its personal channel


async def test_what_is_refused_is_an_error_of_the_client(api: cent.AsyncClient, cluster: RunningCluster) -> None:
    with pytest.raises(cent.CentApiResponseError) as refused:
        await api.presence(cent.PresenceRequest(channel="not:declared"))
    assert refused.value.code == 102
    async with cent.AsyncClient(f"{cluster.url}/api", "wrong", timeout=PATIENCE) as stranger:
        with pytest.raises(cent.CentUnauthorizedError):
            await stranger.info(cent.InfoRequest())
