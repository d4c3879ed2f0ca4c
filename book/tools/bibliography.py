"""The style of the references, in the book and in its editions for Colab."""

from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle


class AuthorYear(BaseLabelStyle):
    """Labels of references as the text cites them: Jang et al., 2017."""

    def format_labels(self, sorted_entries):
        for entry in sorted_entries:
            names = [
                " ".join([*person.prelast_names, *person.last_names])
                for person in entry.persons["author"]
            ]
            first = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
            yield f"{first.replace('{', '').replace('}', '')}, {entry.fields['year']}"


class BookStyle(Style):
    default_sorting_style = "author_year_title"
    default_label_style = AuthorYear
