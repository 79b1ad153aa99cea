#!/usr/bin/python3
"""Stores what boxes send, then acknowledges it.  Debian: apt install python3-paho-mqtt
Usage: archive.py HOST PORT ca.crt archive.room.crt archive.room.key archive.db"""
import json, sqlite3, sys, time
import paho.mqtt.client as mqtt

host, port, ca, cert, key, file = sys.argv[1:]
db = sqlite3.connect(file)
db.executescript("""
  CREATE TABLE IF NOT EXISTS message (box, branch, id, topic, body, PRIMARY KEY (box, branch, id));
  CREATE TABLE IF NOT EXISTS held (box, epoch, lane, low, high, PRIMARY KEY (box, epoch, lane, low, high));
""")
due = {}  # (topic, epoch, lane): through which number all is stored

def through(*lane):
    """Joins the ranges of numbers that are stored, from 1 on."""
    mine, last = "box = ? AND epoch = ? AND lane = ?", 0
    for low, high in db.execute(f"SELECT low, high FROM held WHERE {mine} ORDER BY low", lane).fetchall():
        if low > last + 1:
            break
        last = max(last, high)
    db.execute(f"DELETE FROM held WHERE {mine} AND high <= ?", (*lane, last))
    db.execute("INSERT INTO held VALUES (?, ?, ?, 0, ?)", (*lane, last))
    return last

def on_message(client, _, message):
    _, site, name, branch, *rest = message.topic.split("/")
    box, number = f"{site}/{name}", dict(getattr(message.properties, "UserProperty", []))
    lane, epoch, seq, first = (number.get(part, "") for part in ("lane", "epoch", "seq", "first"))
    if lane not in ("alert", "bulk") or not all(text.isdecimal() and len(text) < 16 for text in (seq, first)):
        return  # from no outbox
    low, ident = int(seq), "/".join(rest)
    if branch == "evt":
        try:
            event = json.loads(message.payload)
            ident = event["id"].encode().decode()
            if event["type"] == "vigie.outbox-gap.v1":  # numbers that will not come
                low = event["data"]["from"]
            if not 0 < low <= int(seq):
                raise ValueError
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            low, ident = int(seq), f"unread-{epoch}-{lane}-{seq}"  # kept all the same, or its box keeps all behind it
    with db:  # one transaction; what comes again is dropped by its id
        db.execute("INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?)",
                   (box, branch, ident, message.topic, message.payload))
        db.executemany("INSERT OR IGNORE INTO held VALUES (?, ?, ?, ?, ?)",
                       [(box, epoch, lane, low, int(seq)), (box, epoch, lane, 0, int(first) - 1)])
        due[f"vigie/{box}/ack", epoch, lane] = through(box, epoch, lane)

def refused(client, _, mid, reason, properties):
    if reason.is_failure:
        print(f"the broker refuses an acknowledgement: {reason}", file=sys.stderr)

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.tls_set(ca, cert, key)
client.on_connect = lambda *_: client.subscribe([("vigie/+/+/evt/#", 1), ("vigie/+/+/snap/#", 1)])
client.on_message, client.on_publish = on_message, refused
client.connect_async(host, int(port), keepalive=30)
sent = 0.0
while True:
    if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS:
        time.sleep(1)
        try:
            client.reconnect()
        except OSError as error:
            print(f"{host}:{port}: {error}; tried again", file=sys.stderr)
    if time.monotonic() - sent > 0.2:  # a box reads 100 acknowledgements a second
        sent = time.monotonic()
        for (topic, epoch, lane), number in due.items():
            client.publish(topic, json.dumps({lane: number, "epoch": epoch}), qos=1)
        due.clear()
