"""`approxbit push`."""

import typer

from approxbit.cli.console import print_text

FAMILY = typer.Option(..., help="A family that `approxbit list` names.")
TO = typer.Option(..., help="The repository, owner/name; it is made if it is not there.")
PRIVATE = typer.Option(False, "--private", help="Let only its owner see a repository that is made.")


def push(family: str = FAMILY, to: str = TO, private: bool = PRIVATE) -> None:
    """Publish a family on the Hugging Face Hub, with a model card; others name it hf://owner/name.

    The hub's own settings count: HF_TOKEN or its login, HF_ENDPOINT for a hub of your own.
    """
    from approxbit.families.publish import push as publish

    print_text(publish(family, to, private=private))
