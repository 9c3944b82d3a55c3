"""The names of the made-up agents.

They have the accents and the `ñ` that break careless code. How a server garbles them is in `answers.py`.
"""

import random

# Whatever the seed and however small the centre, the first ones have accents and an ñ.
ALWAYS = ("María José Núñez Peña", "Andrés Felipe Muñoz Ibáñez")

FIRST = (
    "Adriana", "Alejandro", "Álvaro", "Ana Lucía", "Ángela María", "Begoña", "Camila", "Carlos Andrés", "César",
    "Claudia Inés", "Daniela", "Diego", "Édgar", "Elena", "Estefanía", "Fabián", "Gloria", "Hernán", "Iván Darío",
    "Jesús", "Jhon Jairo", "José Ángel", "Juan Pablo", "Juliana", "Julián", "Laura Sofía", "Leidy Johana", "Lucía",
    "Luis Ángel", "Luz Marina", "Manuel", "Mónica", "Nicolás", "Óscar", "Paola", "Ramón", "Rocío", "Santiago",
    "Sebastián", "Úrsula", "Valentina", "Verónica", "Víctor", "Ximena", "Yesenia", "Zoraida",
)  # fmt: skip

LAST = (
    "Acuña", "Álvarez", "Arango", "Bolaños", "Botero", "Cárdenas", "Castaño", "Córdoba", "Díaz", "Echeverri",
    "Estupiñán", "Fernández", "García", "Gómez", "González", "Güiza", "Hernández", "Jiménez", "Londoño", "López",
    "Marín", "Martínez", "Mejía", "Ordóñez", "Ospina", "Patiño", "Peñaloza", "Pérez", "Quiñones", "Ramírez",
    "Restrepo", "Ríos", "Rodríguez", "Saldaña", "Sánchez", "Téllez", "Torres", "Uribe", "Vásquez", "Zuluaga",
)  # fmt: skip


def spanish_names(how_many: int, seed: int) -> tuple[str, ...]:
    """`how_many` different names, the same for the same seed; a smaller centre has the first of a larger one's."""
    rng = random.Random(f"names:{seed}")
    names = dict.fromkeys(ALWAYS)
    while len(names) < how_many:
        names.setdefault(f"{rng.choice(FIRST)} {rng.choice(LAST)} {rng.choice(LAST)}")
    return tuple(names)[:how_many]
