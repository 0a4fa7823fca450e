//! What does a person read? A verdict in words, held by golden files.
