"""What a person needs to know once the platform is up."""

from pathlib import Path

import httpx
from rich.console import Console

from embedded.address import Address
from embedded.credentials import Credentials
from embedded.own_project import FILE, PROJECT, ProjectFailed, own_key


async def greet(address: Address, credentials: Credentials, data: Path) -> None:
    """Prints where the platform is, and a key to use it with. Never into a log: the key is a secret."""
    console = Console()
    async with httpx.AsyncClient(base_url=address.api, trust_env=False) as http:
        try:
            key = await own_key(http, credentials, data)
        except ProjectFailed as error:
            console.print(f"The platform runs at {address.api}, but: {error}")
            return
    console.print(
        f"\n[bold]Movie Tasks runs.[/bold] To use it from another terminal:\n\n"
        f"  export API={address.api} KEY={key}\n"
        f"  export DAPR={address.dapr} DAPR_TOKEN={credentials.dapr_api_token}\n\n"
        f"  key     of project {PROJECT}, kept in {data / FILE}\n"
        f"  API     {address.api}/docs\n"
        f"  events  {address.api}/asyncapi.json\n"
        f"  logs    here, and Dapr's in {data / 'logs'}\n"
        f"  stop    Ctrl-C\n\n"
        "Tasks are taken at once; the engines need some seconds more to be ready.\n",
        soft_wrap=True,
        highlight=False,
    )
