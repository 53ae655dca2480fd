"""Makes pages with data of known content, as the Rust side would write them, for the test of the page.

    python3 tests/page/data.py <directory>     writes scripted.html, hostile.html, large.html, tasks.html, groups.html,
                                               virtual.html, blocked.html, locked.html, simulated.html, storm.html and empty.html

`scripted` is written by hand, so the test knows each answer. The larger ones come from a small simulation of a loop.
"""

import heapq
import json
import pathlib
import random
import sys

PAGE = pathlib.Path(__file__).parents[2] / "src/timeline/page.html"

MICROS = 1_000
MILLIS = 1_000_000

SOCKET, DEADLINE, TASK, JOB, SYNC, OUTSIDE = range(6)
ENDS, PANICS, NOT_BEGUN = 1, 2, 4
ARRIVED, LOST, ON_ITS_WAY = range(3)


class Group:
    """One loop of a run: collects lanes, wakes and the rest in the shape of the data."""

    def __init__(self, run, name):
        self.run = run
        self.data = {"name": name, "parks": [], "queue": [], "marks": [], "wakes": [], "lanes": []}
        run.data["groups"].append(self.data)

    def lane(self, kind, id, name=None, place=None, spawned=None, by=None, ended=None):
        """Adds a lane and returns its index."""
        self.data["lanes"].append({
            "kind": kind, "id": id, "name": name, "place": place, "spawned": spawned, "by": by, "ended": ended,
            "polls": [], "waits": [],
        })
        return len(self.data["lanes"]) - 1

    def wake(self, time, by, text):
        """Adds a wake and returns its index."""
        self.data["wakes"] += [time, by, self.run.text(text)]
        return len(self.data["wakes"]) // 3 - 1

    def poll(self, lane, start, length, ready=None, wake=-1, flags=0, cpu=-1):
        """Adds a poll."""
        self.data["lanes"][lane]["polls"] += [start, length, start if ready is None else ready, wake, flags, cpu]

    def wait(self, lane, start, end, text, kind, still=False):
        """Adds a wait."""
        self.data["lanes"][lane]["waits"] += [start, end - start, self.run.text(text), kind, int(still)]

    def host(self):
        """Makes the group a simulated host, which lives from the beginning."""
        self.data.update({"order": [], "lives": [0, self.run.data["span"]]})
        return self

    def tick(self, lane, at, wake=-1, flags=0, ready=None):
        """Adds a poll of a simulated host, which takes no time."""
        self.poll(lane, at, 0, ready, wake, flags)
        self.data["order"].append(lane)

    def mark(self, time, lane, text):
        """Adds a mark of the program."""
        self.data["marks"] += [time, lane, self.run.text(text)]


class Run:
    """A whole run, which may have several loops."""

    def __init__(self, title, span=0, lost=0):
        self.data = {"format": 1, "title": title, "span": span, "lost": lost, "texts": [], "groups": []}
        self.indices = {}

    def text(self, text):
        """Returns the index of a text."""
        if text not in self.indices:
            self.indices[text] = len(self.data["texts"])
            self.data["texts"].append(text)
        return self.indices[text]

    def simulate(self, origin=0):
        """Makes the run a simulation."""
        self.data["network"] = {"origin": origin, "lost": 0, "flows": [], "faults": []}

    def flow(self, sender, to, sent, end, text, fate=ARRIVED):
        """Adds a segment from one host to another."""
        index = [id(group) for group in self.data["groups"]].index
        self.data["network"]["flows"] += [index(id(sender.data)), index(id(to.data)), sent, end, fate, self.text(text)]

    def fault(self, time, host, text):
        """Adds a fault, of a host or of the network."""
        index = -1 if host is None else [id(group) for group in self.data["groups"]].index(id(host.data))
        self.data["network"]["faults"] += [time, index, self.text(text)]

    def write(self, path):
        """Writes the page with this run, escaped as Rust escapes it."""
        # `ensure_ascii` escapes bidi marks and the separators of lines as well.
        text = json.dumps(self.data, separators=(",", ":")).replace("<", "\\u003c")
        page = PAGE.read_text(encoding="utf-8")
        assert page.count("/*DATA*/") == 1
        path.write_text(page.replace("/*DATA*/", text), encoding="utf-8")


def scripted():
    """A server of 40 ms, in which “reporter” computes for 6.2 ms while “conn 3” is ready."""
    run = Run("timeline, scripted", 40 * MILLIS)
    loop = Group(run, "")
    main = loop.lane("main", 0, place="examples/timeline.rs:20")
    accept = loop.lane("task", 1, "accept", "examples/timeline.rs:24", 100 * MICROS, main)
    reporter = loop.lane("task", 2, "reporter", "examples/timeline.rs:29", 120 * MICROS, main)
    conn1 = loop.lane("task", 3, "conn 1", "examples/timeline.rs:41", 1_050 * MICROS, accept, 21 * MILLIS)
    conn3 = loop.lane("task", 5, "conn 3", "examples/timeline.rs:41", 1_150 * MICROS, accept)
    unnamed = loop.lane("task", 6, None, "examples/timeline.rs:52", 1_180 * MICROS, accept)
    child = loop.lane("child", 7, "half", "examples/timeline.rs:60", 2_300 * MICROS, unnamed)
    job = loop.lane("job", 8, "hash", "examples/timeline.rs:44", 2_100 * MICROS, conn1)
    second = loop.lane("job", 9, None, "examples/timeline.rs:45", 2_150 * MICROS, conn1)
    lookup = loop.lane("lookup", 10, "example.org", "examples/timeline.rs:33", 260 * MICROS, reporter)

    loop.poll(main, 0, 200 * MICROS, cpu=198 * MICROS)
    loop.wait(main, 200 * MICROS, 40 * MILLIS, "“accept” (join)", TASK, still=True)

    spawn = loop.wake(100 * MICROS, main, "spawned")
    loop.poll(accept, 200 * MICROS, 50 * MICROS, 200 * MICROS, spawn)
    loop.wait(accept, 250 * MICROS, 1 * MILLIS, "accept tcp 127.0.0.1:8080", SOCKET)
    ready = loop.wake(1 * MILLIS, -1, "ready: accept tcp 127.0.0.1:8080")
    loop.poll(accept, 1 * MILLIS, 1 * MILLIS, 1 * MILLIS, ready)
    loop.wait(accept, 2 * MILLIS, 40 * MILLIS, "accept tcp 127.0.0.1:8080", SOCKET, still=True)

    loop.poll(reporter, 250 * MICROS, 20 * MICROS, 200 * MICROS, loop.wake(120 * MICROS, main, "spawned"))
    loop.wait(reporter, 270 * MICROS, 10 * MILLIS, "sleep 10 ms", DEADLINE)
    # The culprit: 6.2 ms, of which the core ran it for 4.2 ms.
    loop.poll(reporter, 10 * MILLIS, 6_200 * MICROS, 10 * MILLIS, loop.wake(10 * MILLIS, -1, "its deadline passed"),
              cpu=4_200 * MICROS)
    loop.wait(reporter, 16_200 * MICROS, 36_200 * MICROS, "sleep 20 ms", DEADLINE)
    passed = loop.wake(36_200 * MICROS, -1, "its deadline passed")
    loop.poll(reporter, 36_210 * MICROS, 300 * MICROS, 36_200 * MICROS, passed, cpu=300 * MICROS)
    loop.wait(reporter, 36_510 * MICROS, 40 * MILLIS, "sleep 20 ms", DEADLINE, still=True)

    loop.poll(conn1, 2 * MILLIS, 250 * MICROS, 1_050 * MICROS, loop.wake(1_050 * MICROS, accept, "spawned"))
    loop.wait(conn1, 2_250 * MICROS, 20_100 * MICROS, "blocking job “hash”", JOB)
    loop.poll(conn1, 20_110 * MICROS, 90 * MICROS, 20_100 * MICROS, loop.wake(20_100 * MICROS, job, ""), ENDS)

    loop.poll(conn3, 2_250 * MICROS, 40 * MICROS, 1_150 * MICROS, loop.wake(1_150 * MICROS, accept, "spawned"))
    loop.wait(conn3, 2_290 * MICROS, 10_100 * MICROS, "read tcp 127.0.0.1:8080 → 127.0.0.1:51873", SOCKET)
    loop.wait(conn3, 2_290 * MICROS, 10_100 * MICROS, "sleep 30 s", DEADLINE)
    # The victim: woken by the reporter itself, right after it had begun.
    loop.poll(conn3, 16_200 * MICROS, 130 * MICROS, 10_100 * MICROS, loop.wake(10_100 * MICROS, reporter, ""))
    loop.wait(conn3, 16_330 * MICROS, 30 * MILLIS, "lock of “cache”, held by “conn 1”", SYNC)
    loop.poll(conn3, 30 * MILLIS, 60 * MICROS, 30 * MILLIS, loop.wake(30 * MILLIS, -1, "another thread"))
    loop.wait(conn3, 30_060 * MICROS, 40 * MILLIS, "read tcp 127.0.0.1:8080 → 127.0.0.1:51873", SOCKET, still=True)

    loop.poll(unnamed, 2_290 * MICROS, 400 * MICROS, 1_180 * MICROS, loop.wake(1_180 * MICROS, accept, "spawned"))
    loop.poll(child, 2_400 * MICROS, 250 * MICROS, 2_400 * MICROS, loop.wake(2_300 * MICROS, unnamed, "spawned"), ENDS)
    loop.wait(unnamed, 2_690 * MICROS, 25 * MILLIS, "channel “work” (receive)", OUTSIDE)
    loop.poll(unnamed, 25 * MILLIS, 80 * MICROS, 25 * MILLIS, loop.wake(25 * MILLIS, -1, "another thread"), PANICS)

    loop.poll(job, 2_200 * MICROS, 17_900 * MICROS, 2_100 * MICROS, loop.wake(2_100 * MICROS, conn1, "spawned"))
    loop.poll(second, 20_100 * MICROS, 3 * MILLIS, 2_150 * MICROS, loop.wake(2_150 * MICROS, conn1, "spawned"))
    loop.poll(lookup, 300 * MICROS, 5 * MILLIS, 260 * MICROS)

    loop.mark(10_050 * MICROS, reporter, "report begins")
    loop.mark(35 * MILLIS, -1, "shutdown asked")
    loop.data["parks"] = [270 * MICROS, 730 * MICROS, 2_690 * MICROS, 7_310 * MICROS,
                          16_330 * MICROS, 3_770 * MICROS, 20_200 * MICROS, 4_800 * MICROS, 25_080 * MICROS,
                          4_920 * MICROS, 30_060 * MICROS, 6_140 * MICROS, 36_510 * MICROS, 3_490 * MICROS]
    loop.data["queue"] = [0, 1, 100 * MICROS, 2, 200 * MICROS, 1, 250 * MICROS, 0, 1 * MILLIS, 1, 1_150 * MICROS, 3,
                          2 * MILLIS, 2, 2_290 * MICROS, 0, 10 * MILLIS, 0, 10_100 * MICROS, 1, 16_200 * MICROS, 0]
    return run


def hostile():
    """The scripted run with names that try to break the page."""
    run = scripted()
    names = [
        "</script><script>document.title='broken'</script>", "\"quotes\" 'and' `ticks` & <b>markup</b>",
        "two\nlines\r\n\tand a tab", "\u202eright to left\u2066 marks", "שלום עולם", "👩‍👩‍👧‍👦 🐸 family and frog", "\u0000\u001b[31mred\u009b",
        "x" * 5_000, "lone \ud800 surrogate", "<img src=x onerror=\"document.title='broken'\">",
    ]
    for lane, name in zip(run.data["groups"][0]["lanes"], names):
        lane["name"] = name
        lane["place"] = name
    run.data["texts"] = [f"{text} {name}" for text, name in zip(run.data["texts"], names * 10)]
    run.data["title"] = "</title><script>document.title='broken'</script>\u202etitle"
    return run


def simulate(run, name, count, span, seed, places=12, offset=0):
    """Adds a loop with `count` tasks that run, wake one another and wait, until `span` or until `run` is full."""
    random_ = random.Random(seed)
    loop = Group(run, name)
    main = loop.lane("main", 0, place="src/main.rs:10")
    lanes = [main] + [
        loop.lane("task", id, f"conn {id}" if id % 5 else None, f"src/server/handler.rs:{100 + id % places}", 0, main)
        for id in range(1, count + 1)
    ]
    texts = [
        ("read tcp 127.0.0.1:8080 → 127.0.0.1:{}", SOCKET, "ready: read tcp"), ("sleep {} µs", DEADLINE, "its deadline passed"),
        ("task {} (join)", TASK, ""), ("blocking job {}", JOB, "another thread"), ("lock of cache {}", SYNC, ""),
        ("something else", OUTSIDE, "another thread"),
    ]
    time, queue, sleeping, waits = offset, [], [], {}
    for lane in lanes:
        queue.append((time, lane, loop.wake(time, -1 if lane == main else main, "spawned")))
    while time < span:
        while sleeping and sleeping[0][0] <= time:
            at, lane, text = heapq.heappop(sleeping)
            # Another task may have woken it in the meantime, and it waits anew.
            if lane in waits and waits[lane][0] <= at:
                begin, wait, kind = waits.pop(lane)
                loop.wait(lane, begin, at, wait, kind)
                queue.append((at, lane, loop.wake(at, -1, text)))
        loop.data["queue"] += [time, len(queue)]
        if not queue:
            loop.data["parks"] += [time, sleeping[0][0] - time]
            time = sleeping[0][0]
            continue
        ready, lane, wake = queue.pop(0)
        length = int(random_.expovariate(1 / 20_000)) + 500
        if random_.random() < 0.001:
            length *= 60
        loop.poll(lane, time, length, ready, wake, cpu=length if length > MILLIS else -1)
        if waits and random_.random() < 0.3:
            other = random_.choice(lanes)
            if other in waits and other != lane:
                begin, wait, kind = waits.pop(other)
                woken = time + length // 2
                loop.wait(other, begin, max(begin, woken), wait, kind)
                queue.append((woken, other, loop.wake(woken, lane, "")))
        time += length
        text, kind, why = random_.choice(texts)
        waits[lane] = (time, text.format(50_000 + lane), kind)
        pause = int(random_.expovariate(1 / (30_000 * len(lanes)))) + 1_000
        heapq.heappush(sleeping, (time + pause, lane, why))
    for lane, (begin, wait, kind) in waits.items():
        loop.wait(lane, begin, time, wait, kind, still=True)
    run.data["span"] = max(run.data["span"], time)
    return loop


def large():
    """65,536 events: more than 20,000 polls, as many waits, and as many wakes."""
    run = Run("65,536 events", lost=1_000_000)
    simulate(run, "", 40, 488 * MILLIS, 1)
    return run


def tasks():
    """2,000 tasks."""
    run = Run("2,000 tasks")
    loop = simulate(run, "", 2_000, 250 * MILLIS, 2)
    for number in range(20):
        job = loop.lane("job", 3_000 + number, None, "src/jobs.rs:7", number * 10 * MILLIS, number + 1)
        loop.poll(job, number * 10 * MILLIS + 200, (number + 1) * MILLIS, number * 10 * MILLIS)
    return run


def groups():
    """Four workers."""
    run = Run("four workers")
    for worker in range(4):
        simulate(run, f"worker {worker}", 6 + 2 * worker, 20 * MILLIS, 3 + worker)
    return run


def virtual():
    """A run under the virtual clock: no poll takes time, and hours pass."""
    run = Run("virtual clock", 7_200_000 * MILLIS)
    loop = Group(run, "host a")
    lane = loop.lane("task", 1, "hourly", "src/main.rs:3", 0)
    for hour in range(3):
        at = hour * 3_600_000 * MILLIS
        loop.poll(lane, at, 0, at, loop.wake(at, -1, "its deadline passed"))
        if hour < 2:
            loop.wait(lane, at, at + 3_600_000 * MILLIS, "sleep 1 h", DEADLINE)
    return run


def blocked():
    """A run that was recorded while a poll blocked the loop: a deadline has passed meanwhile, and a name is empty."""
    run = Run("blocked", 50 * MILLIS)
    loop = Group(run, "")
    main = loop.lane("main", 0, place="src/main.rs:1")
    stuck = loop.lane("task", 1, "stuck", "src/main.rs:5", 0, main)
    tick = loop.lane("task", 2, "tick", "src/main.rs:9", 0, main)
    loop.lane("task", 3, "", "src/main.rs:12", 0, main)
    loop.poll(main, 0, 10 * MICROS)
    loop.poll(tick, 10 * MICROS, 10 * MICROS, 0, loop.wake(0, main, "spawned"))
    loop.poll(stuck, 5 * MILLIS, 45 * MILLIS, 0, loop.wake(0, main, "spawned"))
    loop.wait(tick, 20 * MICROS, 10 * MILLIS, "sleep 10 ms", DEADLINE)
    loop.poll(tick, 50 * MILLIS, 0, 10 * MILLIS, loop.wake(10 * MILLIS, -1, "its deadline passed"), NOT_BEGUN)
    return run


def locked():
    """A run in which one task keeps a lock for long, and those who waited pass it on."""
    run = Run("locked", 50 * MILLIS)
    loop = Group(run, "")
    text = "lock \"cache\" (made at src/main.rs:2)"
    keeper = loop.lane("task", 1, "keeper", "src/main.rs:5", 0)
    loop.poll(keeper, 40 * MILLIS, 1 * MILLIS)
    by, at = keeper, 40_500 * MICROS
    for number in range(4):
        lane = loop.lane("task", 2 + number, f"waiter {number}", "src/main.rs:9", 0)
        loop.wait(lane, (5 - number) * MILLIS, at, text, SYNC)
        loop.poll(lane, at + MILLIS, 1 * MILLIS, at, loop.wake(at, by, ""))
        by, at = lane, at + 1_500 * MICROS
    idle = loop.lane("task", 9, "idle", "src/main.rs:12", 0)
    loop.wait(idle, 0, 50 * MILLIS, "recv on mpsc channel", SYNC, True)
    return run


def simulated():
    """A client and a server on virtual time: one request is lost with a partition and sent again; the server crashes."""
    run = Run("simulated", 60 * MILLIS)
    run.simulate()
    client, server = Group(run, "client").host(), Group(run, "server").host()
    main = client.lane("main", 0, place="tests/echo.rs:12", spawned=0)
    reader = client.lane("task", 1, "reader", "tests/echo.rs:20", 11 * MILLIS, main)
    accept = server.lane("main", 0, place="tests/echo.rs:40", spawned=0, ended=40 * MILLIS)
    conn = server.lane("task", 1, "conn 1", "tests/echo.rs:44", 8_500 * MICROS, accept, ended=40 * MILLIS)
    again = server.lane("main", 0, place="tests/echo.rs:40", spawned=50 * MILLIS)
    server.data["lanes"][again]["restart"] = 1
    server.data["lives"] = [0, 40 * MILLIS, 50 * MILLIS, 60 * MILLIS]

    client.tick(main, 0, client.wake(0, -1, "the loop"))
    client.wait(main, 0, 11 * MILLIS, "connect tcp 10.0.0.1:32768 → server:80", SOCKET)
    server.tick(accept, 0, server.wake(0, -1, "the loop"))
    server.wait(accept, 0, 8_500 * MICROS, "accept tcp 0.0.0.0:80", SOCKET)
    run.flow(client, server, 0, 5 * MILLIS, "SYN")
    run.flow(server, client, 5 * MILLIS, 11 * MILLIS, "SYN-ACK")
    run.flow(client, server, 11 * MILLIS, 14 * MILLIS, "ACK")
    # In one moment: main ends its connect and spawns the reader, which polls, and main polls again.
    client.tick(main, 11 * MILLIS, client.wake(11 * MILLIS, -1, "ready: connect tcp 10.0.0.1:32768 → server:80"))
    client.tick(reader, 11 * MILLIS, client.wake(11 * MILLIS, main, "spawned"))
    client.tick(main, 11 * MILLIS, client.wake(11 * MILLIS, reader, ""))
    run.flow(client, server, 11 * MILLIS, 16 * MILLIS, "data #0, 4 bytes")
    client.wait(reader, 11 * MILLIS, 36_250 * MICROS, "read tcp 10.0.0.1:32768 → server:80", SOCKET)
    client.wait(main, 11 * MILLIS, 20 * MILLIS, "sleep 9 ms", DEADLINE)
    server.tick(accept, 14 * MILLIS, server.wake(14 * MILLIS, -1, "ready: accept tcp 0.0.0.0:80"))
    server.tick(conn, 14 * MILLIS, server.wake(14 * MILLIS, accept, "spawned"))
    server.wait(accept, 14 * MILLIS, 40 * MILLIS, "accept tcp 0.0.0.0:80", SOCKET)
    server.wait(conn, 14 * MILLIS, 16 * MILLIS, "read tcp 10.0.0.2:80 → client:32768", SOCKET)
    server.tick(conn, 16 * MILLIS, server.wake(16 * MILLIS, -1, "ready: read tcp 10.0.0.2:80 → client:32768"))
    server.wait(conn, 16 * MILLIS, 40 * MILLIS, "read tcp 10.0.0.2:80 → client:32768", SOCKET)
    run.flow(server, client, 16 * MILLIS, 19_500 * MICROS, "ack 4")
    run.fault(18 * MILLIS, None, "partition client | server")
    run.flow(server, client, 16 * MILLIS, 18 * MILLIS, "data #0, 6 bytes", LOST)
    client.tick(main, 20 * MILLIS, client.wake(20 * MILLIS, -1, "its deadline passed"))
    client.wait(main, 20 * MILLIS, 60 * MILLIS, "join task 1 “reader”", TASK, still=True)
    run.flow(client, server, 20 * MILLIS, 20 * MILLIS, "data #4, 4 bytes", LOST)
    run.fault(30 * MILLIS, None, "repair client | server")
    run.flow(server, client, 32 * MILLIS, 36_250 * MICROS, "data #0, 6 bytes, sent again")
    client.tick(reader, 36_250 * MICROS, client.wake(36_250 * MICROS, -1, "ready: read tcp 10.0.0.1:32768 → server:80"))
    client.wait(reader, 36_250 * MICROS, 60 * MILLIS, "read tcp 10.0.0.1:32768 → server:80", SOCKET, still=True)
    run.flow(client, server, 36_250 * MICROS, 39_250 * MICROS, "ack 6")
    run.fault(40 * MILLIS, server, "crash of server")
    run.fault(50 * MILLIS, server, "server starts again")
    server.tick(again, 50 * MILLIS, server.wake(50 * MILLIS, -1, "the loop"))
    server.wait(again, 50 * MILLIS, 60 * MILLIS, "accept tcp 0.0.0.0:80", SOCKET, still=True)
    run.flow(client, server, 52 * MILLIS, 57 * MILLIS, "data #4, 4 bytes, sent again")
    run.flow(server, client, 57 * MILLIS, 60 * MILLIS, "reset", ON_ITS_WAY)
    return run


def storm():
    """Eight hosts that send 16,384 segments in two seconds, of which one in fifty is lost."""
    span = 2_000 * MILLIS
    run, random_ = Run("storm", span, lost=1_000), random.Random(5)
    run.simulate(origin=3_000 * MILLIS)
    hosts = [Group(run, f"host {number}").host() for number in range(8)]
    lanes = [[host.lane("task", id, f"conn {id}", "src/main.rs:7", 0) for id in range(1, 5)] for host in hosts]
    moments = []
    for number in range(16_384):
        sent = span * number // 16_384
        sender, to = random_.sample(range(8), 2)
        end = min(span, sent + random_.randrange(1 * MILLIS, 10 * MILLIS))
        lost = random_.random() < 0.02
        text = f"data #{number}, 40 bytes" if number % 2 else f"ack {number}"
        run.flow(hosts[sender], hosts[to], sent, end, text, LOST if lost else ARRIVED)
        moments += [(sent, sender)] + ([] if lost else [(end, to)])
    for at, host in sorted(moments):
        for lane in random_.sample(lanes[host], random_.randrange(1, 3)):
            hosts[host].tick(lane, at, hosts[host].wake(at, -1, "ready: read tcp"))
    return run


def empty():
    """A run in which nothing happened."""
    run = Run("empty")
    Group(run, "")
    return run


RUNS = {"scripted": scripted, "hostile": hostile, "large": large, "tasks": tasks, "groups": groups, "virtual": virtual,
        "blocked": blocked, "locked": locked, "simulated": simulated, "storm": storm, "empty": empty}


def write_all(directory):
    """Writes all runs."""
    for name, make in RUNS.items():
        make().write(pathlib.Path(directory) / f"{name}.html")


if __name__ == "__main__":
    write_all(sys.argv[1])
