// Sends the form with the answer to an application (OAuth 2.0 Form Post Response Mode §2): a classic
// script in few and old words, so that nobody whose browser knows no modules has to press the button.
document.querySelector("form[data-autosubmit]").submit();
