"""Reports and lines as the sender writes them."""

HEADER = (
    b"email,jk,Badmail,Baja,Fecha envio,Fecha open,Opens,Opens virales,Fecha click,Clicks,Clicks virales,"
    b"Links,IPs,Navegadores,Plataformas\r\n"
)


def line(email: str = "ana@example.com", envio: str = "08/02/2013 18:30", opened: str = "-", clicked: str = "-") -> bytes:
    """Return a good line."""
    return f"{email},,,,{envio},{opened},0,0,{clicked},0,0,-,-,-,-\r\n".encode()


def report(*lines: bytes) -> bytes:
    """Return a report of these lines."""
    return HEADER + b"".join(lines)
