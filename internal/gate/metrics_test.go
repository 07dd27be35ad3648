package gate

import (
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// inFlight is how many requests the server is answering.
func inFlight(t *testing.T, s *Server) int {
	t.Helper()
	var m dto.Metric
	if err := s.metrics.inFlight.Write(&m); err != nil {
		t.Fatal(err)
	}
	return int(m.GetGauge().GetValue())
}
