"""The JavaScript SDK, over each of its transports, against a cluster behind nginx."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx
import jwt
import pytest

from tests.cluster.harness import RunningCluster
from tests.waiting import PATIENCE

from .js.node import TRANSPORTS, WEBSOCKET, Refused, Transport, node, require_packages
from .world import SECRET, World, token

APP = "tests.conformance.app:app"
WORKERS = 4
API_KEY = "test-api-key"
SHORT = 5
"""Seconds a token is valid that is to be refreshed soon. SDKs count in whole ones."""
EMULATION = re.compile(r'^\S+\[(\d+)\] .*"POST /emulation', re.MULTILINE)
"""A request in the workers' log; the worker's PID."""
MESSAGE_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    require_packages()
    with RunningCluster(APP, workers=WORKERS, token_hmac_secret=SECRET, api_key=API_KEY) as cluster:
        yield cluster


@pytest.fixture
async def world(cluster: RunningCluster) -> AsyncIterator[World]:
    cluster.wait_until_ready()  # again, when a test has killed a worker
    headers = {"X-API-Key": API_KEY}
    async with (
        httpx.AsyncClient(base_url=cluster.url, headers=headers, timeout=PATIENCE, trust_env=False) as http,
        node() as clients,
    ):
        yield World(cluster, clients, http)


transports = pytest.mark.parametrize("transport", TRANSPORTS, ids=str)


@transports
async def test_two_people_talk(world: World, transport: Transport) -> None:
    channel = f"talk-{transport}"
    bob = await world.connected("bob", WEBSOCKET)
    await bob.subscribe(channel)
    ann = await world.connected("ann", transport)
    assert ann.heard("connected")[0]["transport"] == transport.name

    subscribed = await ann.subscribe(channel)
    assert (subscribed["recoverable"], subscribed["wasRecovering"]) == (True, False)
    for who in (ann, bob):
        await who.told("join", channel=channel, info={"client": ann.client_id, "user": "ann"})
    assert await ann.present(channel) == {ann.client_id: "ann", bob.client_id: "bob"}
    assert await bob.presence_stats(channel) == (2, 2)

    said = {"text": "Grüße\n🎉", "list": [1, None, 2.5]}
    await ann.publish(channel, said)
    for who in (ann, bob):
        publication = await who.told("publication", channel=channel)
        assert (publication["data"], publication["offset"]) == (said, 1)
        assert publication["info"] == {"client": ann.client_id, "user": "ann"}
    await ann.publish(channel, 2)
    await ann.publish(channel, 3)

    history = await ann.history(channel, limit=10)
    assert [publication["data"] for publication in history["publications"]] == [said, 2, 3]
    newest = await ann.history(channel, limit=1, reverse=True)
    assert [publication["data"] for publication in newest["publications"]] == [3]
    since = {"offset": 1, "epoch": history["epoch"]}
    assert [found["offset"] for found in (await ann.history(channel, limit=10, since=since))["publications"]] == [2, 3]

    assert await ann.rpc("worker") in world.cluster.worker_pids()
    with pytest.raises(Refused, match="method not found"):
        await ann.rpc("nothing")

    await ann.unsubscribe(channel)
    await bob.told("leave", channel=channel, info={"client": ann.client_id, "user": "ann"})
    assert await bob.present(channel) == {bob.client_id: "bob"}
    with pytest.raises(Refused, match="103"):
        await ann.history(channel)
    assert (ann.heard("error"), bob.heard("error")) == ([], [])


@transports
async def test_who_comes_back_gets_what_was_published_meanwhile(world: World, transport: Transport) -> None:
    channel = f"recovery:away-{transport}"
    ann = await world.connected(f"ann-{transport}", transport)
    await ann.told("subscribed", channel=f"#ann-{transport}")
    await ann.subscribe(channel)
    await world.publish(channel, 1, 2)
    await ann.told("publication", channel=channel, data=2)
    await ann.disconnect()
    await world.publish(channel, *range(3, 20))
    await world.publish(f"#ann-{transport}", "for you")
    await ann.connect()
    for place in (channel, f"#ann-{transport}"):
        await ann.told("subscribed", channel=place, recovered=True, hasRecoveredPublications=True)
    await world.publish(channel, 20)
    await ann.told("publication", channel=channel, data=20)
    assert ann.read(channel) == list(range(1, 21))
    assert [told["offset"] for told in ann.heard("publication", channel=channel)] == list(range(1, 21))
    assert ann.read(f"#ann-{transport}") == ["for you"]


@transports
async def test_who_was_away_too_long_learns_that_something_is_lost(world: World, transport: Transport) -> None:
    channel = f"smallhistory:{transport}"
    ann = await world.connected("ann", transport)
    await ann.subscribe(channel)
    await world.publish(channel, 1)
    await ann.told("publication", channel=channel)
    await ann.disconnect()
    await world.publish(channel, 2, 3, 4)  # two of them are kept
    await ann.connect()
    back = await ann.told("subscribed", channel=channel, times=2)
    assert (back["wasRecovering"], back["recovered"]) == (True, False)
    await world.publish(channel, 5)
    await ann.told("publication", channel=channel, data=5, offset=5)
    assert ann.read(channel) == [1, 5]


@transports
async def test_nothing_is_lost_to_the_clients_of_a_killed_worker(world: World, transport: Transport) -> None:
    channel, personal = f"recovery:killed-{transport}", f"#ann-{transport}"
    ann = await world.connected(f"ann-{transport}", transport, minReconnectDelay=1000)
    await ann.subscribe(channel)
    await world.publish(channel, *range(5))
    await ann.told("publication", channel=channel, data=4)
    worker = await ann.rpc("worker")

    world.cluster.kill(worker)
    await world.publish(channel, *range(5, 15))
    await world.publish(personal, "for you")
    for place in (channel, personal):
        await ann.told("subscribed", channel=place, recovered=True, hasRecoveredPublications=True)
    await world.publish(channel, *range(15, 20))
    await ann.told("publication", channel=channel, data=19)

    assert ann.read(channel) == list(range(20))
    assert ann.read(personal) == ["for you"]
    assert await ann.rpc("worker") != worker


async def test_the_clients_of_a_killed_worker_leave_and_join_again(world: World) -> None:
    bob = await world.connected("bob", WEBSOCKET)
    place = await bob.rpc("worker")
    ann = await world.connected("ann", WEBSOCKET)
    while (worker := await ann.rpc("worker")) == place:
        await ann.disconnect()
        await ann.connect()
    for who in (bob, ann):
        await who.subscribe("meeting")
    first = ann.client_id
    for who in (bob, ann):
        await who.told("join", channel="meeting", info={"client": first, "user": "ann"})
    world.cluster.kill(worker)
    await bob.told("leave", channel="meeting", info={"client": first, "user": "ann"})
    await ann.told("join", channel="meeting", times=2)
    await bob.told("join", channel="meeting", info={"client": ann.client_id, "user": "ann"})
    assert await bob.present("meeting") == {bob.client_id: "bob", ann.client_id: "ann"}


async def test_workers_that_are_restarted_in_turn_lose_nothing(world: World) -> None:
    """Each sends its clients away with a code that lets them come back."""
    channel = "recovery:restarted"
    people = [await world.connected("ann", transport) for transport in TRANSPORTS]
    for person in people:
        await person.subscribe(channel)
    published = 0
    for number in range(WORKERS):
        restart = asyncio.create_task(asyncio.to_thread(world.cluster.supervisorctl, "restart", f"api:api-{number}"))
        while not restart.done():
            await world.publish(channel, published)
            published += 1
        assert restart.result().returncode == 0
    for person in people:
        await person.told("publication", channel=channel, data=published - 1)
        assert person.read(channel) == list(range(published))
        assert person.heard("connecting", code=3001, reason="shutdown: connect again")
        assert all(told["recovered"] for told in person.heard("subscribed", channel=channel)[1:])


@pytest.mark.parametrize("transport", TRANSPORTS[2:], ids=str)
async def test_what_a_client_sends_may_reach_any_worker(world: World, transport: Transport) -> None:
    """It goes with requests of its own, which nginx gives to whichever worker has the least to do."""
    channel = f"recovery:sent-{transport}"
    ann = await world.connected("ann", transport)
    await ann.subscribe(channel)
    own = await ann.rpc("worker")
    before = emulations(world.cluster)
    for number in range(20):
        await ann.publish(channel, number)
    assert await asyncio.gather(*(ann.rpc("worker") for _ in range(20))) == [own] * 20
    await ann.told("publication", channel=channel, data=19)
    assert ann.read(channel) == list(range(20))
    by_worker = emulations(world.cluster) - before
    assert by_worker.total() > by_worker[own], "all of it was sent to the worker that has the client"


@transports
async def test_who_comes_to_a_channel_with_a_cache_gets_the_newest(world: World, transport: Transport) -> None:
    channel = f"newest:{transport}"
    await world.publish(channel, 1, 2, 3)
    ann = await world.connected("ann", transport)
    subscribed = await ann.subscribe(channel, since={"offset": 0, "epoch": ""})
    assert (subscribed["wasRecovering"], subscribed["recovered"]) == (True, True)
    await world.publish(channel, 4)
    await ann.told("publication", channel=channel, data=4)
    assert ann.read(channel) == [3, 4]


@transports
async def test_who_has_a_state_is_asked_for_it_until_what_follows_it_is_known(
    world: World, transport: Transport
) -> None:
    channel = f"recovery:state-{transport}"
    await world.publish(channel, 1, 2, 3)
    epoch = (await world.api("history", channel=channel, limit=0))["epoch"]
    ann = await world.connected("ann", transport)
    states = [{"offset": 1, "epoch": "of a log that is no more"}, {"offset": 1, "epoch": epoch}]
    subscribed = await ann.subscribe(channel, states=states)
    assert len(ann.heard("state", channel=channel)) == 2
    assert subscribed["recovered"]
    await ann.told("publication", channel=channel, data=3)
    assert ann.read(channel) == [2, 3]


async def test_tokens_are_renewed_and_nobody_notices(world: World) -> None:
    people = {transport: world.person("ann", transport, valid=SHORT) for transport in TRANSPORTS}
    for transport, person in people.items():
        await person.connect()
        await person.subscribe(f"$letters-{transport}", with_token=True)
    for transport, person in people.items():
        channel = f"$letters-{transport}"
        # The third is asked for when the second was accepted.
        await person.asked_for_tokens("", 3)
        await person.asked_for_tokens(channel, 3)
        await world.publish(channel, 1)
        await person.told("publication", channel=channel)
        assert (len(person.heard("connected")), len(person.heard("subscribed", channel=channel))) == (1, 1)
        assert person.heard("error") == []


async def test_who_renews_with_another_ones_token_is_sent_away(world: World) -> None:
    people = []
    for transport in TRANSPORTS:
        # Made just before it is used: it must not expire while the others connect.
        person = world.person("ann", transport, token("ann", seconds=SHORT), token("bob"))
        await person.connect()
        people.append(person)
    for person in people:
        await person.told("disconnected", code=3500, reason="invalid token")


@transports
async def test_an_expired_token_is_replaced(world: World, transport: Transport) -> None:
    channel = f"$late-{transport}"
    expired = token("ann", seconds=-60), token("ann", channel, seconds=-60)
    ann = world.person("ann", transport, expired[0], token("ann"), expired[1])
    await ann.connect()
    await ann.subscribe(channel, with_token=True)
    assert ann.tokens_made == ["", "", channel, channel]
    assert [told["error"]["code"] for told in ann.heard("error")] == [109, 109]


@transports
async def test_who_has_no_good_token_stays_away(world: World, transport: Transport) -> None:
    forger = world.person("ann", transport, jwt.encode({"sub": "ann"}, "another secret that is long enough"))
    await forger.begin_to_connect()
    await forger.told("disconnected", code=3500, reason="invalid token")
    nobody = world.person("", transport, getToken=None)
    await nobody.begin_to_connect()
    await nobody.told("disconnected", code=3501, reason="a token is needed")


@transports
async def test_a_program_sends_a_client_away(world: World, transport: Transport) -> None:
    """The code decides whether it comes back."""
    user = f"away-{transport}"
    ann = await world.connected(user, transport)
    connected = 1
    for code in (3001, 3499, 4000, 4499):
        await world.api("disconnect", user=user, disconnect={"code": code, "reason": f"because of {code}"})
        await ann.told("connecting", code=code, reason=f"because of {code}")
        connected += 1
        await ann.told("connected", times=connected)
    for code in (3503, 3999, 4500, 4999):
        await world.api("disconnect", user=user, disconnect={"code": code, "reason": f"because of {code}"})
        await ann.told("disconnected", code=code, reason=f"because of {code}")
        await ann.connect()
    await world.api("disconnect", user=user)
    await ann.told("disconnected", code=3503, reason="force disconnect")


@transports
async def test_a_program_subscribes_a_client_and_ends_subscriptions(world: World, transport: Transport) -> None:
    user, news, chosen = f"reader-{transport}", f"news-{transport}", f"chosen-{transport}"
    ann = await world.connected(user, transport)
    await ann.subscribe(chosen)
    await world.api("subscribe", user=user, channel=news, data={"why": "you asked for it"})
    await ann.told("subscribed", channel=news, data={"why": "you asked for it"}, recoverable=True)
    await world.publish(news, "first")
    await ann.told("publication", channel=news, data="first")
    await world.api("unsubscribe", user=user, channel=news)
    await ann.told("unsubscribed", channel=news)
    await world.api("unsubscribe", user=user, channel=chosen)
    await ann.told("unsubscribed", channel=chosen, code=2000, reason="server unsubscribe")
    await world.publish(news, "second")
    await world.publish(chosen, "second")
    await world.publish(f"#{user}", "the end")
    await ann.told("publication", channel=f"#{user}", data="the end")
    assert (ann.read(news), ann.read(chosen)) == (["first"], [])


@transports
async def test_a_message_reaches_the_application(world: World, transport: Transport) -> None:
    ann = await world.connected(f"ann-{transport}", transport)
    await ann.send({"remember": "the milk"})
    await ann.told("publication", channel=f"#ann-{transport}", data={"remember": "the milk"})


@pytest.mark.parametrize(
    ("channel", "code"),
    [("nowhere:at-all", 102), ("$letters", 103), ("room#bob", 103), ("x" * 256, 107)],
    ids=["unknown", "without a token", "another user's", "too long"],
)
async def test_a_subscription_is_refused_for_good(world: World, channel: str, code: int) -> None:
    ann = await world.connected("ann", WEBSOCKET)
    await ann.begin_to_subscribe(channel)
    await ann.told("unsubscribed", channel=channel, code=code)


async def test_who_sends_too_much_at_once_does_not_come_back_to_do_it_again(world: World) -> None:
    ann = await world.connected("ann", WEBSOCKET)
    await ann.subscribe("room")
    with pytest.raises(Refused):
        await ann.publish("room", "x" * MESSAGE_BYTES)
    await ann.told("disconnected", code=3, reason="message size limit exceeded")


def emulations(cluster: RunningCluster) -> Counter[int]:
    """How many requests of clients each worker has taken so far."""
    return Counter(map(int, EMULATION.findall(cluster.output())))
