# Text of a JSON value, so that the statistics need no package beyond those that fit the models.
#
# A named list or vector becomes an object, an unnamed list an array, a vector of length one a scalar, a longer
# vector an array. NULL and every number that is not finite become null: a reader must not take NaN for a result.

json_string <- function(text) {
  text <- enc2utf8(text)
  text <- gsub("\\", "\\\\", text, fixed = TRUE)
  text <- gsub("\"", "\\\"", text, fixed = TRUE)
  text <- gsub("\n", "\\n", text, fixed = TRUE)
  text <- gsub("\t", "\\t", text, fixed = TRUE)
  paste0("\"", gsub("[[:cntrl:]]", " ", text), "\"")
}

json_scalar <- function(value) {
  if (is.na(value)) return("null")
  if (is.logical(value)) return(if (value) "true" else "false")
  if (is.character(value)) return(json_string(value))
  if (!is.finite(value)) return("null")
  format(value, digits = 17, scientific = NA, trim = TRUE)
}

to_json <- function(value) {
  if (is.null(value)) return("null")
  if (is.factor(value)) value <- as.character(value)
  keys <- names(value)
  if (!is.list(value) && is.null(keys) && length(value) == 1) return(json_scalar(value))
  items <- if (is.list(value)) vapply(value, to_json, "") else vapply(value, json_scalar, "")
  if (is.null(keys)) return(paste0("[", paste(items, collapse = ","), "]"))
  paste0("{", paste(paste0(vapply(keys, json_string, ""), ":", items), collapse = ","), "}")
}
