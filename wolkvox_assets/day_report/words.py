"""Every word of the reports, in Spanish and in English.

What belongs here: the texts, dates in words. What doesn't: where they stand (`page.html`, `index.html`).
"""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from wolkvox_assets.day_report.spans import Kind, Span

LANGUAGES = ("es", "en")


class Words(NamedTuple):
    es: str
    en: str


WORDS: Mapping[str, Words] = {
    "hold": Words("Espera", "Hold"),
    "mute": Words("Silencio", "Mute"),
    "hold_and_mute": Words("Espera y silencio", "Hold and mute"),
    "total": Words("Total", "Total"),
    "uses": Words("Usos", "Uses"),
    "per_use": Words("Por uso", "Per use"),
    "agents": Words("Agentes", "Agents"),
    "agent": Words("Agente", "Agent"),
    "share": Words("Parte del total", "Share of the total"),
    "active": Words("Ventanas con uso", "Windows in use"),
    "first": Words("Primera", "First"),
    "last": Words("Última", "Last"),
    "busiest": Words("Mayor uso", "Busiest"),
    "unknown": Words("Sin datos", "Not known"),
    "known": Words("Ventanas conocidas", "Windows known"),
    "known_of": Words(
        "Se conocen {known} de {expected} ventanas de cinco minutos ({percent} %)",
        "{known} of {expected} five-minute windows are known ({percent}%)",
    ),
    "percent": Words("{part} %", "{part}%"),
    "until": Words("hasta {until}", "up to {until}"),
    "closed": Words("Definitivo", "Final"),
    "closed_means": Words(
        "Se conoce todo, y se verificó después del cierre. Solo un registro que llegue muy tarde puede cambiarlo.",
        "All of it is known, and was checked after it had ended. Only a record that comes very late can change it.",
    ),
    "complete": Words("Completo", "Complete"),
    "complete_means": Words(
        "Se conoce todo. Falta verificarlo una vez después del cierre.",
        "All of it is known. It is still to be checked once after its end.",
    ),
    "partial": Words("Incompleto", "Not complete"),
    "partial_means": Words(
        "Falta una parte: los totales solo incluyen lo que se conoce.",
        "A part is missing: the totals add up only what is known.",
    ),
    "day": Words("Día", "Day"),
    "week": Words("Semana", "Week"),
    "month": Words("Mes", "Month"),
    "half_hour": Words("Media hora", "Half-hour"),
    "by_half_hour": Words("Por media hora", "By half-hour"),
    "by_day": Words("Por día", "By day"),
    "by_agent": Words("Por agente", "By agent"),
    "state": Words("Estado", "State"),
    "all_reports": Words("Todos los informes", "All reports"),
    "reports": Words("Informes", "Reports"),
    "operation": Words("Operación", "Operation"),
    "compared_day": Words("Comparado con el {before}", "Compared with {before}"),
    "compared_week": Words("Comparado con la semana anterior", "Compared with the previous week"),
    "compared_month": Words(
        "Comparado con los mismos días de la semana, cinco semanas antes",
        "Compared with the same weekdays, five weeks earlier",
    ),
    "compared_over": Words(
        "Solo se cuentan las ventanas que se conocen de ambos: {windows}.",
        "Only windows that are known for both count: {windows}.",
    ),
    "compared_none": Words(
        "No hay datos anteriores para comparar.", "There is nothing earlier to compare it with."
    ),
    "now": Words("Ahora", "Now"),
    "then": Words("Antes", "Before"),
    "change": Words("Cambio", "Change"),
    "corrections": Words("Correcciones", "Corrections"),
    "corrections_none": Words("Ninguna cifra conocida ha cambiado.", "No known number has changed since."),
    "corrections_some": Words(
        "Cifras conocidas que se corrigieron: {count}.",
        "Known numbers that turned out to be different: {count}.",
    ),
    "corrections_shown": Words("Se muestran las {shown} más recientes.", "The newest {shown} are shown."),
    "corrected_at": Words("Corregida", "Corrected"),
    "window": Words("Ventana", "Window"),
    "number": Words("Cifra", "Number"),
    "hold_mute_count": Words("Usos", "Uses"),
    "hold_seconds": Words("Espera", "Hold"),
    "mute_seconds": Words("Silencio", "Mute"),
    "total_seconds": Words("Total", "Total"),
    "nobody": Words("Nadie usó la espera ni el silencio.", "Nobody used hold or mute."),
    "none_known": Words("Todavía no se conoce nada.", "Nothing is known yet."),
    "sort_hint": Words(
        "Haga clic en el título de una columna para ordenar.", "Click a column heading to sort."
    ),
    "clock": Words(
        "Las horas son las locales de la operación ({timezone}). Una ventana dura cinco minutos.",
        "Times are the operation's wall clock ({timezone}). A window is five minutes long.",
    ),
    "made": Words("Esta página se generó el {at}.", "This page was made on {at}."),
    "chart": Words(
        "Espera y silencio por media hora, {span}. En total: espera {hold}, silencio {mute}. {most}",
        "Hold and mute by half-hour, {span}. In all: hold {hold}, mute {mute}. {most}",
    ),
    "chart_by_day": Words(
        "Espera y silencio por día, {span}. En total: espera {hold}, silencio {mute}. {most}",
        "Hold and mute by day, {span}. In all: hold {hold}, mute {mute}. {most}",
    ),
    "chart_most": Words("Mayor uso: {part}, con {seconds}.", "Busiest: {part}, with {seconds}."),
    "column": Words("{part}: espera {hold}, silencio {mute}", "{part}: hold {hold}, mute {mute}"),
    "column_unknown": Words(
        "{part}: espera {hold}, silencio {mute}; se conocen {known} de {expected} ventanas",
        "{part}: hold {hold}, mute {mute}; {known} of {expected} windows are known",
    ),
}

_WEEKDAYS = Words(
    "lunes martes miércoles jueves viernes sábado domingo",
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
)
_MONTHS = Words(
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "January February March April May June July August September October November December",
)


def weekday(day: date, language: str) -> str:
    return str(getattr(_WEEKDAYS, language).split()[day.weekday()])


def month(day: date, language: str) -> str:
    return str(getattr(_MONTHS, language).split()[day.month - 1])


def long_date(day: date, language: str) -> str:
    """`lunes 16 de noviembre de 2026`, `Monday 16 November 2026`."""
    of = " de " if language == "es" else " "
    return f"{weekday(day, language)} {day.day}{of}{month(day, language)}{of}{day.year}"


def title(span: Span, language: str) -> str:
    """What a report of this span is called."""
    match span.kind:
        case Kind.DAY:
            words = long_date(span.first, language)
        case Kind.WEEK:
            year, week, _ = span.first.isocalendar()
            ends = tuple(f"{day.day} {month(day, language)[:3]}" for day in (span.first, span.last))
            words = f"{getattr(WORDS['week'], language)} {week}, {year} ({ends[0]} – {ends[1]})"
        case Kind.MONTH:
            of = " de " if language == "es" else " "
            words = f"{month(span.first, language)}{of}{span.first.year}"
    return words[0].upper() + words[1:]


def say(key: str, language: str, **values: object) -> str:
    """As plain text."""
    return str(getattr(WORDS[key], language).format(**values))
