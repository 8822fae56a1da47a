from types import SimpleNamespace

from featurelens import book_extension


def script(text=None, filename=None):
    return SimpleNamespace(filename=filename, attributes={"body": text} if text else {})


def test_scripts_are_kept_once_and_in_order_without_those_for_a_server_elsewhere():
    a, b, again = script("let a = 1"), script(filename="_static/b.js"), script("let a = 1")
    thebe = [
        script('const THEBE_JS_URL = "x"'),
        script(filename="sphinx-thebe.js"),
        "_static/sphinx-thebe.js",
    ]
    assert book_extension.scripts([a, *thebe, b, again, "plain.js", "plain.js"]) == [a, b, "plain.js"]


def test_roles_that_were_given_up_are_replaced():
    html = '<div role="list"><div role="doc-biblioentry">x</div></div>'
    assert book_extension.body(html) == '<div role="list"><div role="listitem">x</div></div>'
