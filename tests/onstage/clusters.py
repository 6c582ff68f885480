"""Scripts of a few lines that do what a trainer does on several hosts: meet, count epochs, and notice a loss."""

SETUP = """
import json, os, socket, sys, time
import numpy as np

ALONE = '{"cluster": {"chief": ["one:1"]}, "task": {"type": "chief", "index": 0}}'

def address(name):
    return socket.getaddrinfo(name, 2222, type=socket.SOCK_STREAM)[0][4][:2]

def meet(hosts, own):
    if own != hosts[0]:
        for _ in range(300):
            try:
                link = socket.create_connection(address(hosts[0]))
                link.sendall(f"{own:100}".encode())
                return [(hosts[0], link)]
            except ConnectionRefusedError:
                time.sleep(0.1)
    with socket.create_server(("", address(own)[1])) as server:
        links = [server.accept()[0] for _ in hosts[1:]]
    return [(link.recv(100, socket.MSG_WAITALL).decode().strip(), link) for link in links]

def lost(links):
    for name, link in links:
        link.settimeout(0.02)
        try:
            if not link.recv(1):
                return name
        except TimeoutError:
            pass
        except OSError:
            return name

def train(hosts, own, epochs):
    links = meet(hosts, own) if len(hosts) > 1 else []
    for epoch in range(1, epochs + 1):
        if own == hosts[0]:
            print(f"epoch={epoch} loss=0.5 val_accuracy=1.0", file=sys.stderr, flush=True)
        if name := lost(links):
            if own != hosts[0]:
                # The chief hears of it at first hand.
                time.sleep(3)
            if failure := os.environ.get("SM_OUTPUT_DIR"):
                with open(failure + "/failure", "w") as file:
                    file.write(f"{name} is lost: see its log")
            raise SystemExit(f"error: {name} is lost: see its log")
    # Nobody leaves before the chief is done, to whom that would be a loss.
    for _, link in links:
        link.settimeout(60)
        link.sendall(b".") if own == hosts[0] else link.recv(1)
    if place := os.environ.get("ONSTAGE_WEIGHTS"):
        np.savez(place, **{"0 dense/kernel": np.ones(3), "1 sgd/iteration": np.array(float(epochs))})
    return links
"""
