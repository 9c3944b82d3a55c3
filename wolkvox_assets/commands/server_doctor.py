"""What `doctor` finds out about an operation's server before it sends a request: its name and its certificate."""

import ipaddress
import os
import socket
import ssl
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

_TIMEOUT_SECONDS = 5.0


def finding(address: str) -> tuple[bool, str]:
    """Whether this address can be trusted with the token, and why. Sends nothing but a handshake."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme != "https":
        if _is_this_machine(host):
            return True, f"{address} is not encrypted, which is fine on this machine"
        return False, f"{address} is not encrypted: anyone on the way can read the token. Use https://"
    if select_proxy(address, get_environ_proxies(address)):
        return True, f"{address} is reached through the proxy that the environment names; not checked"
    # The root certificates that requests uses.
    context = ssl.create_default_context(
        cafile=os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    )
    try:
        with (
            socket.create_connection((host, parts.port or 443), _TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            until = (secured.getpeercert() or {}).get("notAfter")
            return (
                True,
                f"{address} shows a certificate for its name ({secured.version()}), valid until {until}",
            )
    except ssl.SSLCertVerificationError as error:
        return False, (
            f"{address}: {error.verify_message}. Either this is not the server, or something on the way reads the "
            "traffic, or this machine lacks a root certificate: name it in REQUESTS_CA_BUNDLE. No token was sent"
        )
    except socket.gaierror:
        return (
            False,
            f"{address}: no server has this name. Check the server code, and this machine's DNS",
        )
    except OSError as error:
        return False, f"{address} cannot be reached: {error.strerror or error}. Check the network"


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
