"""Frames that no sound sender sends: each is counted under its reason, none reaches an app, traffic goes on."""

import struct

from lib import APP_ADDRESS, PORT, app_stat, load, milliseconds_until, nothing_lost, run_test, start_server

COPIES = 50
CLIENT = bytes([10, 0, 0, 9])
APP = bytes([10, 0, 0, 2])


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(payload, source=CLIENT, to=APP, version=4, ihl=5, length=None, fragment=0, protocol=17, wrong_checksum=False):
    length = 20 + len(payload) if length is None else length
    fields = [version << 4 | ihl, 0, length, 1, fragment, 64, protocol, 0, source, to]
    header = struct.pack("!BBHHHBBH4s4s", *fields)
    fields[7] = checksum(header) ^ (0x5555 if wrong_checksum else 0)
    return struct.pack("!BBHHHBBH4s4s", *fields) + payload


def udp(data=b"x" * 32, port=PORT, length=None, wrong_checksum=False):
    length = 8 + len(data) if length is None else length
    header = struct.pack("!HHHH", 40000, port, length, 0)
    pseudo = CLIENT + APP + struct.pack("!BBH", 0, 17, 8 + len(data))
    value = checksum(pseudo + header + data) or 0xFFFF
    return struct.pack("!HHHH", 40000, port, length, value ^ (0x5555 if wrong_checksum else 0)) + data


def frames(mac, other_mac, mine):
    """(where it is counted, the reason, the frame)."""

    def ethernet(payload, ethertype=0x0800, to=mac):
        return to + mine + struct.pack("!H", ethertype) + payload

    good = ip(udp())
    return [
        ("loop", "runt", ethernet(good[:12])),
        ("loop", "not_ours", ethernet(good, to=other_mac)),
        ("loop", "vlan", ethernet(struct.pack("!HH", 5, 0x0800) + good, ethertype=0x8100)),
        ("loop", "ipv6", ethernet(b"\x60" + bytes(59), ethertype=0x86DD)),
        ("loop", "ethertype", ethernet(bytes(50), ethertype=0x88B5)),
        ("loop", "ip_version", ethernet(ip(udp(), version=6))),
        ("loop", "ip_header_length", ethernet(ip(udp(), ihl=4))),
        ("loop", "ip_length", ethernet(ip(udp(), length=1400))),
        ("loop", "ip_checksum", ethernet(ip(udp(), wrong_checksum=True))),
        ("loop", "fragment", ethernet(ip(udp(), fragment=0x2000))),
        ("loop", "bad_source", ethernet(ip(udp(), source=bytes([127, 0, 0, 1])))),
        ("loop", "no_app", ethernet(ip(udp(), to=bytes([10, 0, 0, 77])))),
        ("loop", "arp_bad", ethernet(bytes(28), ethertype=0x0806)),
        ("app", "checksum", ethernet(ip(udp(wrong_checksum=True)))),
        ("app", "malformed", ethernet(ip(udp(length=4)))),
        ("app", "no_socket", ethernet(ip(udp(port=9)))),
        ("app", "protocol", ethernet(ip(bytes(40), protocol=99))),
    ]


def drops(rig, daemon, where, reason):
    if where == "loop":
        return rig.stat(daemon)["loop"]["drops"][reason]
    return sum(kthread["drops"][reason] for kthread in app_stat(rig, daemon, "synthetic")["kthreads"])


def mac_of(namespace, interface):
    text = namespace.run("ip", "-br", "link", "show", interface).split()[2]
    return bytes.fromhex(text.replace(":", ""))


def test(rig):
    daemon = rig.start_iokerneld()
    start_server(rig, daemon)
    rig.client.run("ping", "-n", "-c", "1", "-W", "2", APP_ADDRESS)
    mac = mac_of(rig.server, "sluice0")
    mine = mac_of(rig.client, "client0")
    with rig.client.raw_socket("client0") as wire:
        for where, reason, frame in frames(mac, bytes([2, 0, 0, 0, 0, 99]), mine):
            before = drops(rig, daemon, where, reason)
            for _ in range(COPIES):
                wire.send(frame)
            milliseconds_until(lambda: drops(rig, daemon, where, reason) >= before + COPIES, 5)
            print(f"{where} {reason}: {COPIES}")
        # Rubbish of every length, with each first byte.
        for length in range(14, 600):
            wire.send(mac + mine + b"\x08\x00" + bytes((length * 7 + i * 13) % 256 for i in range(length - 14)))
    nothing_lost(rig, daemon, load(rig, rate=2000, seconds=1), "afterwards")


run_test(test)
