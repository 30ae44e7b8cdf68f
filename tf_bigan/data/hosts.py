"""Checks that there is a network, before TFDS waits for one."""

import socket
import urllib.parse
import urllib.request


def look_up_hosts(urls):
    """Raises OSError at once if a host of `urls` cannot be resolved; TFDS would retry for minutes."""
    if urllib.request.getproxies():
        return  # the proxy resolves names
    for host in {urllib.parse.urlparse(url).hostname for url in urls} - {None}:
        try:
            socket.getaddrinfo(host, 443)
        except socket.gaierror as error:
            raise OSError(f"no network: {host} cannot be resolved ({error.strerror})") from None
