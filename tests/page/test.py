"""Tests the page of the timeline in Chromium, with data of known content.

    python3 tests/page/test.py                 tests the page in src/timeline
    python3 tests/page/test.py run.html ...    tests files that a program wrote, too

The browser is driven by Selenium. `.ci/page` installs both and runs this test.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
import unittest

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import data

# A frame with 65,536 events: 20 of them a second are still a movement. In milliseconds.
FRAME = 50
# The page's own script, from its first line to the first picture.
LOAD = 1000

FILES = [pathlib.Path(file).resolve() for file in sys.argv[1:]]
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
CHROMEDRIVER = shutil.which("chromedriver")


def start_browser():
    """Starts a browser that resolves no name and calls no service of its maker."""
    options = Options()
    options.binary_location = CHROMIUM
    arguments = ["--headless=new", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
                 "--disable-default-apps", "--disable-domain-reliability", "--disable-sync", "--no-first-run",
                 "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service(CHROMEDRIVER), options=options)


class PageTest(unittest.TestCase):
    """A test with a browser and the written pages."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.pages = pathlib.Path(cls.directory.name)
        data.write_all(cls.pages)
        cls.browser = start_browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.directory.cleanup()

    def setUp(self):
        self.size(1500, 860)
        self.media()

    # What the tests say.

    def size(self, width, height):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def media(self, media="", scheme="light"):
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def open(self, page):
        path = page if isinstance(page, pathlib.Path) else self.pages / f"{page}.html"
        self.browser.get_log("browser")
        self.browser.get_log("performance")
        self.browser.get(path.as_uri())
        self.settle()
        return path

    def run_js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def settle(self):
        """Waits until two frames have been drawn."""
        self.browser.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")

    def text(self, id):
        """Returns what a person sees of an element."""
        return self.browser.find_element(By.ID, id).text

    def cards(self):
        return self.browser.find_elements(By.CSS_SELECTOR, ".card")

    def press(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()
        self.settle()

    def click_picture(self, x, y):
        """Clicks a place of the canvas, counted from its top left corner."""
        canvas = self.browser.find_element(By.ID, "lanes")
        box = self.run_js("const r = arguments[0].getBoundingClientRect(); return [r.width, r.height]", canvas)
        ActionChains(self.browser).move_to_element_with_offset(
            canvas, round(x - box[0] / 2), round(y - box[1] / 2)).click().perform()
        self.settle()

    def place(self, lane, time):
        """Returns where a time of a lane lies on the canvas."""
        return self.run_js("""
            const lane = timeline.model.lanes.find(lane => lane.name === arguments[0]);
            return [timeline.xOf(arguments[1]), timeline.yOf(lane) + 20];""", lane, time)

    def click_lane(self, lane, time):
        self.click_picture(*self.place(lane, time))

    def colours(self):
        """Returns how many colours the canvas has, and its colour at the top left."""
        return self.run_js("""
            const canvas = document.getElementById("lanes");
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const colours = new Set();
            for (let i = 0; i < pixels.length; i += 4) colours.add(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]);
            return [colours.size, [...pixels.slice(0, 3)]];""")

    def assert_silent(self, path):
        """Asserts that the browser requested nothing but the file, and reported nothing."""
        requests = []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                requests.append(message["params"]["request"]["url"])
        self.assertEqual(requests, [path.as_uri()])
        self.assertEqual(self.browser.get_log("browser"), [])

    def assert_shows(self, id, *texts):
        shown = self.text(id)
        for text in texts:
            self.assertIn(text, shown)


class ThePage(PageTest):
    """What the page shows of known runs."""

    def test_opening_a_file_requests_nothing_else_and_reports_no_error(self):
        for name in data.RUNS:
            with self.subTest(name):
                self.assert_silent(self.open(name))

    def test_using_the_page_requests_nothing_and_reports_no_error(self):
        path = self.open("scripted")
        for card in self.cards():
            card.click()
        for link in self.browser.find_elements(By.CSS_SELECTOR, "#lists .link"):
            link.click()
        self.press("l", "w", "w", "s", "a", "d", Keys.ARROW_LEFT, Keys.ARROW_DOWN, Keys.ENTER, Keys.ESCAPE, "0")
        self.browser.find_element(By.ID, "theme").click()
        self.settle()
        self.assert_silent(path)

    # The six questions.

    def test_the_first_figure_says_how_busy_the_loop_is(self):
        self.open("scripted")
        self.assertIn("22 % busy", self.cards()[0].text)
        self.assertIn("tasks ran for 8.8 ms of 40 ms; the loop parked for 31.2 ms", self.cards()[0].text)

    def test_the_second_figure_says_what_held_up_the_loop_and_where_it_was_spawned(self):
        self.open("scripted")
        text = self.cards()[1].text
        self.assertIn("6.2 ms longest poll", text)
        self.assertIn("“reporter” held up the loop, spawned at examples/timeline.rs:29", text)
        self.assertIn("pushed off its core for 2 ms", text)

    def test_the_third_figure_says_who_started_latest_and_behind_whom(self):
        self.open("scripted")
        text = self.cards()[2].text
        self.assertIn("6.1 ms latest start", text)
        self.assertIn("“conn 3” was ready for 6.1 ms while “reporter” ran (spawned at examples/timeline.rs:29)", text)

    def test_the_fourth_figure_counts_the_late_starts(self):
        self.open("scripted")
        self.assertIn("3 began late", self.cards()[3].text)
        self.assertIn("of 14 polls, more than 1 ms after they were ready", self.cards()[3].text)

    def test_a_click_on_a_wait_says_for_what_and_for_how_long(self):
        self.open("scripted")
        self.click_lane("conn 3", 20 * data.MILLIS)
        self.assert_shows("detail", "“conn 3” waited for 13.7 ms: lock of “cache”, held by “conn 1”",
                          "lock or channel", "woken by another thread")
        self.assert_shows("status", "“conn 3” waited for 13.7 ms")
        self.click_lane("accept", 30 * data.MILLIS)
        self.assert_shows("detail", "“accept” still waits at the end, for 38 ms: accept tcp 127.0.0.1:8080")
        self.click_lane("conn 3", 5 * data.MILLIS)
        self.assert_shows("detail", "read tcp 127.0.0.1:8080 → 127.0.0.1:51873 or sleep 30 s")

    def test_a_click_on_a_poll_says_why_it_was_late_and_who_woke_it(self):
        self.open("scripted")
        self.click_lane("conn 3", 16_260 * data.MICROS)
        self.assert_shows(
            "detail", "“conn 3” · poll 2 of 3", "Why so late?", "“reporter” · poll 2 examples/timeline.rs:29\n6.1 ms",
            "How it came to run", "woken by “reporter”", "cause: its deadline passed")

    def test_a_click_on_what_is_ready_selects_the_poll_that_follows(self):
        self.open("scripted")
        self.click_lane("conn 3", 13 * data.MILLIS)
        self.assert_shows("detail", "“conn 3” · poll 2 of 3")

    def test_a_click_on_a_name_says_what_the_task_is_and_who_woke_it(self):
        self.open("scripted")
        self.click_picture(60, self.place("conn 3", 0)[1])
        self.assert_shows(
            "detail", "at the end it has been waiting for 9.9 ms: read tcp 127.0.0.1:8080 → 127.0.0.1:51873", "task 5",
            "examples/timeline.rs:41", "“accept”", "230 µs", "What it waited for", "13.7 ms", "Who woke it",
            "woken by “reporter”")

    def test_the_lists_say_which_jobs_and_look_ups_were_slow(self):
        self.open("scripted")
        self.assert_shows(
            "lists", "Slowest jobs and look-ups", "job 9\n20.9 ms", "blocking job, queued for 17.9 ms behind “hash”, ran for 3 ms",
            "“hash”\n18 ms", "“example.org”\n5 ms", "look-up", "examples/timeline.rs:33")

    def test_a_job_that_was_queued_names_the_job_before_it(self):
        self.open("scripted")
        self.click_picture(*self.run_js(
            "const lane = timeline.model.lanes.find(lane => lane.id === 9);"
            "return [timeline.xOf(21e6), timeline.yOf(lane) + 20]"))
        self.assert_shows("detail", "job 9 was queued for 17.9 ms while “hash” ran (spawned at examples/timeline.rs:44)",
                          "queued by “conn 1”")

    # The rest of what it shows.

    def test_the_chain_of_wakes_ends_at_its_cause(self):
        self.open("scripted")
        self.click_lane("conn 1", 20_150 * data.MICROS)
        self.assert_shows("detail", "woken by “hash”", "queued by “conn 1”", "spawned by “accept”",
                          "cause: ready: accept tcp 127.0.0.1:8080")

    def test_the_pieces_of_a_child_interrupt_its_parent(self):
        self.open("scripted")
        pieces = self.run_js("""
            const { start, end, lane } = timeline.model.groups[0].strip;
            return [...start].map((time, i) => [lane[i].id, time / 1e3, end[i] / 1e3])
              .filter(([id]) => id === 6 || id === 7);""")
        self.assertEqual(pieces, [[6, 2290, 2400], [7, 2400, 2650], [6, 2650, 2690], [6, 25000, 25080]])

    def test_a_poll_that_is_mostly_its_childs_names_the_child(self):
        self.open("scripted")
        clause = "return plain(childClause({ lane: timeline.model.lanes[arguments[0]], i: 0 }))"
        self.assertEqual(self.run_js(clause, 5),
                         ", mostly its child “\u2068half\u2069”, spawned at \u2068examples/timeline.rs:60\u2069")
        self.assertEqual(self.run_js(clause, 4), "")

    def test_a_mark_is_listed_and_can_be_selected(self):
        self.open("scripted")
        self.assert_shows("lists", "“report begins”", "“shutdown asked”")
        self.click_picture(self.run_js("return timeline.xOf(10.05e6)"), 9)
        self.assert_shows("detail", "Mark “report begins”", "10.050 ms", "“reporter”")

    def test_the_pointer_shows_a_note(self):
        self.open("scripted")
        canvas = self.browser.find_element(By.ID, "lanes")
        x, y = self.place("reporter", 12 * data.MILLIS)
        width, height = self.run_js("return [timeline.view.width, timeline.view.height]")
        ActionChains(self.browser).move_to_element_with_offset(
            canvas, round(x - width / 2), round(y - height / 2)).perform()
        self.settle()
        self.assert_shows("tip", "“reporter”, poll 2 of 3: ran for 6.2 ms",
                          "4.2 ms of CPU time: pushed off its core for 2 ms", "spawned at examples/timeline.rs:29")

    def test_several_loops_have_a_row_each(self):
        self.open("groups")
        self.assertRegex(self.cards()[0].text, r"\d+ % to \d+ % busy\n“worker \d” is the busiest of 4 loops")
        self.assertRegex(self.cards()[1].text, r"on worker \d held up the loop")
        self.click_picture(60, 50)
        self.assert_shows("detail", "worker 0", "Hide its lanes", "tasks ran for")
        height = self.run_js("return timeline.view.tall")
        self.browser.find_element(By.XPATH, "//button[.='Hide its lanes']").click()
        self.settle()
        self.assertEqual(self.run_js("return timeline.view.tall"), height - 30 * 7)

    def test_a_run_without_events_or_without_time_is_no_error(self):
        self.open("empty")
        self.assertIn("no poll", self.cards()[1].text)
        self.assertIn("no late start", self.cards()[2].text)
        self.open("virtual")
        self.assert_shows("what", "2 h 0 min")
        self.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        self.assert_shows("detail", "“hourly” waited for 1 h 0 min: sleep 1 h")

    def test_a_task_that_is_ready_at_the_end_is_late_without_a_poll(self):
        self.open("blocked")
        self.assertIn("40 ms latest start\n“tick” was ready for 40 ms while “stuck” ran (spawned at src/main.rs:5)",
                      self.cards()[2].text)
        self.assertIn("of 3 polls", self.cards()[3].text)
        self.cards()[2].click()
        self.settle()
        self.assert_shows("detail", "“tick” · not yet polled", "not before the end of the recording",
                          "cause: its deadline passed")
        self.assertNotIn("ran for", self.text("detail"))
        self.assert_shows("status", "“tick” has been ready for 40 ms at the end")
        self.click_picture(60, self.place("tick", 0)[1])
        self.assert_shows("status", "“tick”: 1 poll, 10 µs run, at the end it has been ready for 40 ms")

    def test_the_lists_say_who_kept_a_lock_for_which_others_waited(self):
        self.open("locked")
        self.assert_shows("lists", "Longest waits for locks\nlock \"cache\" (made at src/main.rs:2)\n43 ms\n"
                          "4 waits, behind “keeper” for 38.5 ms, spawned at src/main.rs:5")
        self.assertEqual(self.run_js("return keptLocks(timeline.model).length"), 1)
        self.open("scripted")
        self.assert_shows("lists", "13.7 ms\n1 wait, not released by a task that is known")

    def test_an_empty_name_is_none(self):
        self.open("blocked")
        self.assertEqual(self.run_js("return timeline.model.lanes[3].name"), None)

    def test_no_poll_is_blamed_under_a_virtual_clock(self):
        self.open("virtual")
        self.assertNotIn("held up", self.cards()[1].text)

    # Simulations.

    def flow(self, text):
        """Returns the number of the first segment with a text, and its two ends on the canvas."""
        return self.run_js("""
            const i = Array.from({ length: timeline.model.flows.length }, (_, i) => i)
              .find(i => timeline.model.flows.text(i) === arguments[0]);
            return [i, ...flowPlace(i)];""", text)

    def test_the_figures_of_a_simulation_count_hosts_segments_losses_and_faults(self):
        self.open("simulated")
        self.assert_shows("what", "60 ms · 2 simulated hosts · 5 tasks · 11 polls")
        self.assertEqual([card.text for card in self.cards()], [
            "2 hosts\n11 polls at 8 moments of 60 ms",
            "11 segments\nthe slowest, “SYN-ACK” from server to client, took 6 ms",
            "2 lost\nthe first: “data #0, 6 bytes” from server to client, at 16.000 ms",
            "4 faults\nthe first: partition client | server, at 18.000 ms",
        ])
        self.assert_shows("legend", "lost segment", "polls, in their order at one moment")
        self.assertNotIn("off its core", self.text("legend"))

    def test_the_pointer_on_an_arrow_says_what_it_is_and_how_long_it_took(self):
        self.open("simulated")
        number, x, y, after, foot = self.flow("SYN")
        canvas = self.browser.find_element(By.ID, "lanes")
        box = self.run_js("const r = arguments[0].getBoundingClientRect(); return [r.width, r.height]", canvas)
        at = (x + (after - x) * 0.3, y + (foot - y) * 0.3)
        ActionChains(self.browser).move_to_element_with_offset(
            canvas, round(at[0] - box[0] / 2), round(at[1] - box[1] / 2)).perform()
        self.settle()
        self.assertEqual(self.text("tip"), "“SYN” from client to server\nsent at 0.000 ms, arrived at 5.000 ms\nlatency 5 ms")
        self.click_picture(*at)
        self.assert_shows("detail", "Segment “SYN”", "client → server: arrived 5 ms later.", "The polls of the sender")
        self.assert_shows("status", "“SYN” from client to server, sent at 0.000 ms, arrived 5 ms later")

    def test_an_arrow_leads_from_the_row_of_its_sender_to_that_of_its_receiver(self):
        self.open("simulated")
        tops = self.run_js("return timeline.model.groups.map(headTop)")
        for text, sender, receiver in [("SYN", 0, 1), ("SYN-ACK", 1, 0)]:
            _, _, y, _, foot = self.flow(text)
            self.assertEqual([y - tops[sender], foot - tops[receiver]], [40, 40])

    def test_a_lost_segment_ends_in_a_cross_on_the_way(self):
        self.open("simulated")
        number, x, y, after, foot = self.flow("data #0, 6 bytes")
        client, server = self.run_js("return timeline.model.groups.map(group => headTop(group) + 40)")
        self.assertEqual(y, server)
        self.assertTrue(client < foot < server)
        lost = self.run_js("return paper.lost")
        pixel = self.run_js("""
            const [x, y] = arguments, pen = document.getElementById("lanes").getContext("2d");
            return [...pen.getImageData(Math.round(x) - 3, Math.round(y) - 3, 7, 7).data];""", after, foot)
        wanted = [int(lost[i:i + 2], 16) for i in (1, 3, 5)]
        self.assertIn(wanted, [pixel[i:i + 3] for i in range(0, len(pixel), 4)])
        self.browser.find_element(By.XPATH, "//button[.='data #0, 6 bytes']").click()
        self.settle()
        self.assert_shows("detail", "server → client: was lost 2 ms later.", "“conn 1” · poll 2")

    def test_polls_at_one_moment_stand_side_by_side_in_their_order(self):
        self.open("simulated")
        places = self.run_js("""
            const [main, reader] = timeline.model.groups[0].lanes;
            return [pollPlace(main, 1), pollPlace(reader, 0), pollPlace(main, 2)].map(place => place[0]);""")
        self.assertGreaterEqual(places[1] - places[0], 4)
        self.assertGreaterEqual(places[2] - places[1], 4)
        lane = self.run_js("return timeline.yOf(timeline.model.lanes[0]) + 10")
        self.click_picture(places[2] + 1, lane)
        self.assert_shows("detail", "main · poll 3 of 4", "number 3 of 3 at this moment", "its poll 1",
                          "Segments that arrived at this moment\nSYN-ACK")
        # The wakes of one moment are a chain, which ends at the socket.
        self.assert_shows("detail", "cause: ready: connect tcp")

    def test_where_there_is_no_room_the_polls_of_one_moment_stand_at_one_place(self):
        self.open("storm")
        self.assertLess(self.run_js("""
            const lanes = timeline.model.groups[0].lanes;
            return Math.max(...lanes.flatMap(lane => Array.from(lane.start, (start, i) => tickShift(lane, i))))"""), 61)

    def test_a_host_that_was_started_again_was_down_and_its_lanes_say_so(self):
        self.open("simulated")
        self.assertEqual(self.run_js("return timeline.model.groups[1].lanes.map(labelOf)"),
                         ["main", "conn 1", "main (restart 1)"])
        self.click_picture(60, self.run_js("return headTop(timeline.model.groups[1])") + 10)
        self.assert_shows("detail", "5 polls at 4 moments", "5 sent, of which 1 were lost; 5 arrived",
                          "started again\n1 time")

    def test_a_fault_is_a_mark_on_the_axis(self):
        self.open("simulated")
        self.click_picture(self.run_js("return timeline.xOf(40e6)"), 8)
        self.assert_shows("detail", "Fault “crash of server”", "at\n40.000 ms", "host\nserver")
        self.assertNotIn("made by", self.text("detail"))

    def test_the_lanes_of_all_hosts_can_be_hidden(self):
        self.open("simulated")
        hosts = self.browser.find_element(By.ID, "hosts")
        self.assertEqual(hosts.text, "Hosts only")
        hosts.click()
        self.settle()
        self.assertEqual((hosts.text, self.run_js("return visibleRows().length")), ("Show tasks", 0))
        # The search finds them nevertheless.
        self.browser.find_element(By.ID, "search").send_keys("conn 1")
        self.settle()
        self.assertEqual(self.run_js("return visibleRows().length"), 1)
        self.open("scripted")
        self.assertFalse(self.browser.find_element(By.ID, "hosts").is_displayed())

    def test_times_count_from_the_beginning_of_the_simulation(self):
        self.open("storm")
        self.assertIn("at 3", self.cards()[2].text)
        self.assertEqual(self.run_js("return moment(0, 1e6)"), "3000 ms")

    def test_of_many_segments_some_are_drawn_and_the_page_says_so(self):
        self.open("storm")
        self.assertEqual(self.run_js("return [flowsInView().every, flowsInView().count]"), [9, 16_384])
        self.assertLess(self.run_js("return flowsInView().drawn.length"), 2_500)
        # Each lost one is drawn.
        self.assertEqual(self.run_js("""
            return flowsInView().drawn.filter(i => timeline.model.flows.fate[i] === LOST).length === timeline.model.flows.lost"""),
            True)
        self.run_js("timeline.show(1000e6, 1010e6)")
        self.settle()
        self.assertEqual(self.run_js("return flowsInView().every"), 1)

    def test_16384_segments_draw_a_frame_within_50_ms(self):
        self.open("storm")
        self.run_js("showHostsOnly(false)")
        paints, _ = self.browser.execute_async_script(FRAMES)
        print(f"\n16,384 segments, paint: median {statistics.median(paints):.1f} ms", end="")
        self.assertLess(statistics.median(paints), FRAME)
        self.assertLess(self.run_js("return timeline.loaded"), LOAD)

    def test_the_search_keeps_the_lanes_that_match(self):
        self.open("scripted")
        self.press("/", "conn 3")
        self.assert_shows("status", "1 of 10 lanes found.")
        self.press(Keys.ENTER)
        self.assert_shows("detail", "“conn 3”")
        for query, lanes in [("timeline.rs:41", 2), ("51873", 1), ("task 6", 1), ("LOOKUP", 1), ("nothing", 0)]:
            # The key selects the former search, so that typing replaces it.
            self.browser.find_element(By.ID, "lanes").send_keys("/")
            self.press(query)
            self.assert_shows("status", f"{lanes} of 10 lanes found.")
        self.press(Keys.ESCAPE)
        self.assertEqual(self.run_js("return timeline.view.shown"), 10)

    def test_the_order_of_the_lanes_can_be_chosen(self):
        self.open("scripted")
        self.browser.find_element(By.CSS_SELECTOR, "#order option[value=late]").click()
        self.assertEqual(self.run_js("return timeline.model.groups[0].rows[1].name"), "conn 3")
        self.browser.find_element(By.CSS_SELECTOR, "#order option[value=ran]").click()
        self.assertEqual(self.run_js("return timeline.model.groups[0].rows[0].name"), "hash")

    # Hands and eyes.

    def test_keys_zoom_and_move(self):
        self.open("scripted")
        width = lambda: self.run_js("return timeline.view.until - timeline.view.from")
        whole = width()
        self.press("w")
        self.assertAlmostEqual(width() / whole, 0.7, 5)
        left = self.run_js("return timeline.view.from")
        self.press("d")
        self.assertGreater(self.run_js("return timeline.view.from"), left)
        self.press("a", "s", "s")
        self.assertAlmostEqual(width(), whole)
        self.press("+", "+", "0")
        self.assertAlmostEqual(width(), whole)

    def test_the_wheel_zooms_around_the_pointer(self):
        self.open("scripted")
        x, y = self.place("reporter", 12 * data.MILLIS)
        self.run_js("""
            const canvas = document.getElementById("lanes"), box = canvas.getBoundingClientRect();
            canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -200, cancelable: true, bubbles: true,
              clientX: box.x + arguments[0], clientY: box.y + arguments[1] }));""", x, y)
        self.settle()
        self.assertLess(self.run_js("return timeline.view.until - timeline.view.from"), 30 * data.MILLIS)
        self.assertAlmostEqual(self.place("reporter", 12 * data.MILLIS)[0], x, delta=1.5)

    def test_arrow_keys_select_lanes_polls_and_waits(self):
        self.open("scripted")
        self.browser.find_element(By.ID, "lanes").send_keys(Keys.ARROW_DOWN)
        self.assert_shows("status", "loop: 22 % busy")
        self.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
        self.assert_shows("status", "“reporter”: 3 polls")
        self.press(Keys.ARROW_RIGHT)
        self.assert_shows("status", "“reporter”, poll 1 of 3")
        self.press(Keys.ARROW_RIGHT)
        self.assert_shows("status", "“reporter” waited for 9.7 ms: sleep 10 ms")
        self.press(Keys.ARROW_RIGHT)
        self.assert_shows("status", "“reporter”, poll 2 of 3: ran for 6.2 ms")
        self.press(Keys.ARROW_LEFT)
        self.assert_shows("status", "sleep 10 ms")
        self.press(Keys.END)
        self.assert_shows("status", "poll 3 of 3")
        self.press(Keys.ESCAPE)
        self.assert_shows("status", "“reporter”: 3 polls")
        self.press(Keys.ESCAPE)
        self.assertEqual(self.text("detail"), "")
        self.press("l")
        self.assert_shows("status", "“conn 3”, poll 2 of 3")
        self.press("p")
        self.assert_shows("status", "“reporter”, poll 2 of 3")

    def test_each_control_is_reached_by_tab_and_has_a_name(self):
        self.open("scripted")
        self.press("l")
        self.run_js("document.activeElement.blur(); scrollTo(0, 0)")
        seen = []
        for _ in range(80):
            ActionChains(self.browser).send_keys(Keys.TAB).perform()
            seen.append(self.run_js("""
                const at = document.activeElement;
                at.dataset.seen = "yes";
                return [at.id, (at.getAttribute("aria-label") ?? at.textContent).trim(), at === document.body]"""))
            if seen[-1][2]:
                break
        self.assertTrue(all(name for _, name, is_body in seen if not is_body), seen)
        ids = [id for id, _, _ in seen if id]
        self.assertEqual(ids[:7], ["search", "order", "closer", "wider", "fit", "theme", "lanes"])
        missed = self.run_js(
            "return [...document.querySelectorAll('button, input, select, canvas[tabindex]')]"
            ".filter(control => !control.hidden && !control.dataset.seen).map(control => control.outerHTML)")
        self.assertEqual(missed, [])

    def test_what_is_selected_is_said_to_a_screen_reader(self):
        self.open("scripted")
        self.assertEqual(self.run_js("return document.getElementById('status').getAttribute('aria-live')"), "polite")
        label = "return document.getElementById('lanes').getAttribute('aria-label')"
        self.assertIn("Arrow keys", self.run_js(label))

    def test_a_followed_link_leaves_the_focus_at_what_it_led_to(self):
        self.open("scripted")
        self.press("l")
        self.browser.find_element(By.XPATH, "//button[.='its poll 2']").send_keys(Keys.ENTER)
        self.assert_shows("status", "“reporter”, poll 2 of 3")
        self.assertEqual(self.run_js("return document.activeElement.textContent"), "“reporter” · poll 2 of 3")

    def test_the_system_chooses_light_or_dark_and_the_button_changes_it(self):
        self.media(scheme="dark")
        self.open("scripted")
        self.assertLess(max(self.colours()[1]), 60)
        self.browser.find_element(By.ID, "theme").click()
        self.settle()
        self.assertGreater(min(self.colours()[1]), 200)
        self.media(scheme="light")
        self.open("scripted")
        self.assertGreater(min(self.colours()[1]), 200)

    def test_runs_and_what_is_ready_differ_for_colour_blind_people(self):
        self.open("scripted")
        for theme in ["light", "dark"]:
            colours = self.run_js("""
                document.documentElement.dataset.theme = arguments[0];
                const style = getComputedStyle(document.documentElement);
                return ["bg", "run", "ready", "job"].map(name => style.getPropertyValue(`--${name}`).trim())""", theme)
            for blindness, matrix in BLINDNESS.items():
                seen = [see(matrix, colour) for colour in colours]
                for i, one in enumerate(seen):
                    for other in seen[:i]:
                        distance = sum((a - b) ** 2 for a, b in zip(one, other)) ** 0.5
                        self.assertGreater(distance, 0.15, (theme, blindness, colours))

    def test_paper_shows_the_figures_the_lanes_and_the_lists_but_no_controls(self):
        self.media(scheme="dark")
        self.open("scripted")
        self.media("print", "dark")
        self.settle()
        self.assertTrue(all(card.is_displayed() for card in self.cards()))
        for id, displayed in [("lanes", True), ("lists", True), ("legend", True), ("search", False), ("theme", False),
                              ("status", False), ("keys", False)]:
            self.assertEqual(self.browser.find_element(By.ID, id).is_displayed(), displayed, id)
        # Paper is white, and lanes are on it.
        number, ground = self.colours()
        self.assertEqual(ground, [255, 255, 255])
        self.assertGreater(number, 20)
        pdf = base64.b64decode(self.browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
        self.assertEqual(len(re.findall(rb"/Type\s*/Page\b", pdf)), 1)
        self.media("", "dark")
        self.settle()
        self.assertLess(max(self.colours()[1]), 60)

    def test_a_narrow_window_has_the_panel_below(self):
        self.size(480, 900)
        self.open("scripted")
        self.press("l")
        below, wide = self.run_js("""
            const lanes = document.getElementById("lanes").getBoundingClientRect();
            const panel = document.querySelector("aside").getBoundingClientRect();
            return [panel.top >= lanes.bottom, document.documentElement.scrollWidth]""")
        self.assertTrue(below)
        self.assertLessEqual(wide, 480)

    # Hostile names.

    def test_hostile_names_are_shown_and_do_no_harm(self):
        path = self.open("hostile")
        self.press("l")
        for card in self.cards():
            card.click()
        self.assertNotEqual(self.browser.title, "broken")
        self.assertIn("</title>", self.browser.title)
        self.assertEqual(self.run_js("return document.querySelectorAll('script, img').length"), 2)
        lists = "".join(self.run_js("return timeline.model.lanes.map(lane => lane.name)"))
        for text in ["</script><script>", "two\\nlines\\r\\n\\tand a tab", "\\u{202e}right to left\\u{2066}",
                     "\\0\\u{1b}[31mred\\u{9b}", "lone \\u{d800} surrogate", "👩‍👩‍👧‍👦 🐸", "שלום עולם", "x…"]:
            self.assertIn(text, lists)
        shown = self.run_js("return document.body.innerText")
        self.assertIn("two\\nlines", shown)
        self.assertNotRegex(shown, "[\u202a-\u202e\u2066-\u2069\x00-\x08\x0e-\x1f]")
        isolated = self.run_js(
            "return [...document.querySelectorAll('bdi')]"
            ".every(bdi => getComputedStyle(bdi).unicodeBidi === 'isolate')")
        self.assertTrue(isolated)
        self.assertEqual(self.run_js("return document.documentElement.scrollWidth"), 1500)
        self.assert_silent(path)

    # Time.

    def test_65536_events_load_within_a_second_and_draw_a_frame_within_50_ms(self):
        loads = []
        for _ in range(5):
            self.open("large")
            loads.append(self.run_js("return timeline.loaded"))
        load = statistics.median(loads)
        paints, frames = self.browser.execute_async_script(FRAMES)
        for name, values in [("paint", paints), ("frame", frames)]:
            print(f"\n65,536 events, {name}: median {statistics.median(values):.1f} ms, "
                  f"90 % within {sorted(values)[len(values) * 9 // 10]:.1f} ms", end="")
        print(f"\n65,536 events, load: median {load:.0f} ms of {', '.join(f'{one:.0f}' for one in loads)}")
        self.assertLess(load, LOAD)
        self.assertLess(statistics.median(paints), FRAME)

    def test_2000_tasks_draw_only_the_rows_in_sight(self):
        self.open("tasks")
        tall, high = self.run_js("""
            const scroller = document.getElementById("scroller");
            return [scroller.scrollHeight, scroller.clientHeight]""")
        self.assertGreater(tall, 2_000 * 30)
        paints = self.browser.execute_async_script("""
            const done = arguments[0], scroller = document.getElementById("scroller");
            timeline.view.frames.length = 0;
            let step = 0;
            const next = () => {
              scroller.scrollTop = scroller.scrollHeight * step / 60;
              if (step++ < 60) requestAnimationFrame(next); else done(timeline.view.frames);
            };
            next();""")
        print(f"\n2,000 tasks, scrolled, paint: median {statistics.median(paints):.1f} ms")
        self.assertLess(statistics.median(paints), FRAME)
        # The last lane is in sight, and the row of the loop still is.
        self.assert_in_sight("return timeline.yOf(timeline.model.groups[0].rows.at(-1))", high)

    def assert_in_sight(self, script, high):
        self.settle()
        self.assertTrue(0 < self.run_js(script) < high)

    # The source.

    def test_the_source_has_one_placeholder_and_builds_no_markup(self):
        source = data.PAGE.read_text(encoding="utf-8")
        self.assertEqual(source.count("/*DATA*/"), 1)
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:", "import("]:
            self.assertNotIn(word, source)
        self.assertEqual([line for line in source.splitlines() if len(line) > 120], [])


# Zooms through the whole run and back, a step a frame. Returns the times of `paint`, and from frame to frame.
FRAMES = """
const done = arguments[0], view = timeline.view, frames = [];
timeline.fit();
view.frames.length = 0;
let step = 0, last = performance.now();
const next = () => {
  const now = performance.now();
  frames.push(now - last);
  last = now;
  if (step >= 120) return done([view.frames, frames.slice(1)]);
  // Half of the steps show the whole run or most of it, which costs the most.
  timeline.zoom(step % 60 < 30 ? 0.93 : 1 / 0.93);
  step++;
  requestAnimationFrame(next);
};
requestAnimationFrame(next);
"""

# What remains of linear red, green and blue (Viénot, Brettel and Mollon 1999).
BLINDNESS = {
    "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


def see(matrix, colour):
    """Returns a colour as a colour-blind person sees it."""
    channels = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [channel ** 2.2 for channel in channels]
    return [max(0, sum(a * b for a, b in zip(row, linear))) ** (1 / 2.2) for row in matrix]


class AFileOfAProgram(PageTest):
    """What holds for each file that a program wrote."""

    @unittest.skipUnless(FILES, "no file was named")
    def test_it_opens_and_explains_its_latest_start(self):
        for file in FILES:
            with self.subTest(file.name):
                path = self.open(file)
                self.assertRegex(self.cards()[0].text, r"\d+ % (to \d+ % )?busy|^\d+ hosts?")
                self.assertRegex(self.cards()[1].text, r"longest poll|no poll|segments?")
                self.assertGreater(self.run_js("return timeline.model.lanes.length"), 0)
                self.assertGreater(self.colours()[0], 20)
                if "latest start" in self.cards()[2].text:
                    self.cards()[2].click()
                    self.settle()
                    self.assert_shows("detail", "Why so late?", "How it came to run", "was ready for")
                print(f"\n{file.name}:", *(card.text.replace("\n", ": ") for card in self.cards()), sep="\n    ")
                # Each wake, wait and poll lies within the run, and in the order of time.
                self.assertEqual(self.run_js(FAULTS), [])
                self.assertLess(self.run_js("return timeline.loaded"), LOAD)
                self.assert_silent(path)


# Returns what contradicts the contract between the writer and the page.
FAULTS = """
const faults = [], { span, lanes } = timeline.model;
for (const lane of lanes) {
  const name = lane.name ?? `${lane.kind} ${lane.id}`;
  // A job may have begun before the oldest event of the loop.
  const earliest = lane.onLoop ? 0 : -Infinity;
  for (let i = 0; i < lane.polls; i++) {
    const wake = lane.group.wakeTime[lane.wake[i]];
    if (i > 0 && lane.start[i] < lane.end[i - 1]) faults.push(`${name}: poll ${i + 1} begins within the one before`);
    if (lane.start[i] < earliest || lane.end[i] > span) faults.push(`${name}: poll ${i + 1} lies outside the run`);
    if (wake > lane.start[i]) faults.push(`${name}: poll ${i + 1} begins before its wake`);
  }
  const { start, end } = lane.waits;
  for (let i = 0; i < start.length; i++) {
    if (start[i] < earliest || end[i] > span || end[i] < start[i]) faults.push(`${name}: wait ${i + 1} lies outside the run`);
  }
}
const { flows } = timeline.model;
for (let i = 0; i < flows.length; i++) {
  if (flows.sent[i] < 0 || flows.end[i] < flows.sent[i] || flows.end[i] > span) faults.push(`segment ${i + 1} lies outside`);
  if (i > 0 && flows.sent[i] < flows.sent[i - 1]) faults.push(`segment ${i + 1} was sent before the one before it`);
}
return faults.slice(0, 20);
"""

if __name__ == "__main__":
    if CHROMIUM is None or CHROMEDRIVER is None:
        sys.exit("this test needs Chromium and chromedriver")
    unittest.main(argv=sys.argv[:1], verbosity=2)
