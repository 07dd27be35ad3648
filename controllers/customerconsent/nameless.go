package customerconsent

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// namelessError says what went wrong without saying with whom: the apiserver's
// errors spell out the name of the object and its address, and the name is a
// person's. errors.Is and errors.As still see the whole.
type namelessError struct {
	doing string
	err   error
}

// nameless is nil for nil.
func nameless(doing string, err error) error {
	if err == nil {
		return nil
	}
	return &namelessError{doing: doing, err: err}
}

func (e *namelessError) Error() string { return e.doing + ": " + kind(e.err) }

func (e *namelessError) Unwrap() error { return e.err }

func kind(err error) string {
	var request *url.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "out of time"
	case apierrors.ReasonForError(err) != "":
		return string(apierrors.ReasonForError(err))
	case errors.As(err, &request):
		return request.Err.Error()
	}
	return fmt.Sprintf("%T", err)
}
