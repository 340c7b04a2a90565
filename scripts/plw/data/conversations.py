"""Conversations: the forms that they come in, their first exchange, or all of their turns."""

from dataclasses import dataclass

from plw.data.fields import RowProblem, checked, missing, text_of

Triple = tuple[str, str, str]
Notes = tuple[str, ...]
Turns = tuple[tuple[str, str], ...]  # (role, text)
SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
TOOLS = ("tool", "function", "observation", "ipython")  # roles in which a tool speaks


@dataclass(frozen=True)
class Chat:
    """How a form of conversations names itself, the role and the text of a turn, and the roles."""

    key: str
    role: str
    text: str
    user: tuple[str, ...]
    assistant: tuple[str, ...]
    system: tuple[str, ...]
    calls: tuple[str, ...] = ()  # roles of turns that call a tool


OPENAI = Chat("messages", "role", "content", ("user",), ("assistant",), ("system", "developer"))
SHAREGPT = Chat(
    "conversations",
    "from",
    "value",
    ("human", "user"),
    ("gpt", "assistant", "chatgpt", "model"),
    ("system",),
    ("function_call",),
)


def _listed_turns(row: dict, chat: Chat) -> list[dict]:
    turns = row.get(chat.key)
    if turns is None:
        if isinstance(row.get("conversations"), list):
            said = f"{chat.key}; the row has conversations with from/value: format: sharegpt"
            raise RowProblem("missing_field", said)
        if isinstance(row.get("messages"), list):
            said = f"{chat.key}; the row has messages with role/content: format: messages"
            raise RowProblem("missing_field", said)
        raise missing(chat.key, row)
    if not isinstance(turns, (list, tuple)) or not all(isinstance(turn, dict) for turn in turns):
        raise RowProblem("wrong_type", f"{chat.key} is no list of turns")
    return list(turns)


def first_exchange(row: dict, chat: Chat) -> tuple[Triple, Notes]:
    """The first user turn and the first assistant turn after it; what is left out of the row is noted."""
    turns = _listed_turns(row, chat)
    roles = [turn.get(chat.role) for turn in turns]
    asked = next((place for place, role in enumerate(roles) if role in chat.user), None)
    if asked is None:
        raise RowProblem("missing_field", f"no turn has {chat.role}: {chat.user[0]}")
    answers = (*chat.assistant, *chat.calls)
    answered = next((place for place in range(asked + 1, len(turns)) if roles[place] in answers), None)
    if answered is None:
        raise RowProblem("missing_field", f"no turn after it has {chat.role}: {chat.assistant[0]}")
    answer = turns[answered]
    if _calls_tool(answer, chat) and not (roles[answered] in chat.assistant and answer.get(chat.text)):
        raise RowProblem("tool_call", "the answer calls a tool")  # what it then says rests on what the tool said
    system = any(role in chat.system for role in roles)
    notes = ("system_turn_ignored",) * system + ("later_turns_ignored",) * (len(turns) > answered + 1)
    return (_turn_text(turns[asked], chat), "", _turn_text(answer, chat)), notes


def _calls_tool(turn: dict, chat: Chat) -> bool:
    return turn.get(chat.role) in chat.calls or bool(turn.get("tool_calls") or turn.get("function_call"))


def whole_conversation(row: dict, chat: Chat) -> tuple[Triple, Turns, Notes]:
    """All turns from the first user turn to the last answer, and the first exchange as a triple.

    Neighbouring turns of one role are one, a line each. System turns before the first user turn are the system's; later
    ones, and user turns that nobody answers, are left out and noted. No turns where the row is one exchange alone: then
    the triple says all. RowProblem for a row with a tool in it, or with a role that is none of the form's.
    """
    given = _listed_turns(row, chat)
    if len(given) == 2 and given[0].get(chat.role) in chat.user:
        triple, noted = first_exchange(row, chat)
        return triple, (), noted
    found: list[tuple[str, str]] = []
    notes: list[str] = []
    for turn in given:
        role = _role_of(turn, chat)
        asked = any(name == USER for name, _ in found)
        if role == SYSTEM and asked:
            notes.append("system_turn_ignored")
        elif role != ASSISTANT or asked:  # an answer to nothing is left out, as of the first exchange
            text = _turn_text(turn, chat)
            if role == SYSTEM and text == "":
                continue
            if found and found[-1][0] == role:
                text = f"{found.pop()[1]}\n{text}"
            found.append((role, text))
    while found and found[-1][0] == USER and any(name == ASSISTANT for name, _ in found):
        found.pop()
        notes.append("later_turns_ignored")
    exchange = {role: text for role, text in reversed(found)}  # the first of each
    if USER not in exchange:
        raise RowProblem("missing_field", f"no turn has {chat.role}: {chat.user[0]}")
    if ASSISTANT not in exchange:
        raise RowProblem("missing_field", f"no turn after it has {chat.role}: {chat.assistant[0]}")
    turns = tuple(found) if len(found) > 2 else ()
    return (exchange[USER], "", exchange[ASSISTANT]), turns, tuple(dict.fromkeys(notes))


def _role_of(turn: dict, chat: Chat) -> str:
    role = turn.get(chat.role)
    if role in TOOLS or _calls_tool(turn, chat):
        raise RowProblem("tool_call", f"a turn of {role}")  # what follows rests on what the tool said
    for name, given in ((USER, chat.user), (ASSISTANT, chat.assistant), (SYSTEM, chat.system)):
        if role in given:
            return name
    raise RowProblem("wrong_type", f"{chat.role} {str(role)[:40]!r} is no role of this form")


def _turn_text(turn: dict, chat: Chat) -> str:
    """A turn's text; of content in parts the parts of type text, a line each, as vLLM joins them."""
    content = turn.get(chat.text)
    if not isinstance(content, list | tuple):
        return text_of(turn, chat.text)
    parts = []
    for part in content:
        if isinstance(part, dict) and part.get("type") == "text":
            parts.append(text_of(part, "text"))
        elif isinstance(part, str):
            parts.append(checked(part, chat.text))
        else:
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise RowProblem("not_only_text", f"a part of type {kind}")
    return "\n".join(parts)
