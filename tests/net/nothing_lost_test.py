"""100 000 requests at a moderate rate: every one is answered, under each steering policy.

Their order is printed and not checked: the server runs a uthread per request, so two of a flow may overtake."""

from lib import check, equal, load, nothing_lost, run_test, start_server

PACKETS = 100_000
RATE = 10_000


def test(rig):
    for steering in ("rss", "round-robin", "flow-affinity"):
        packets = PACKETS if steering == "rss" else PACKETS // 5
        daemon = rig.start_iokerneld("--steering", steering)
        server = start_server(rig, daemon)
        result = load(rig, rate=RATE, seconds=packets / RATE, flows=1000, arrivals="uniform")
        print(steering, {k: result[k] for k in ("sent", "lost", "out_of_order", "p50_us", "packets_core_changed")})
        check(result["sent"] >= packets - 1, f"the client sent {result['sent']} only")
        nothing_lost(rig, daemon, result, steering)
        equal(rig.drop(server), 0, "the server's exit status")
        equal(rig.drop(daemon), 0, "iokerneld's exit status")


run_test(test)
